"""Signed statements over HTTP: how many records match a query, none most of all."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from audit import postgres, statement
from audit.api import export_schema
from audit.api.export_views import ExportsApi, shown
from audit.event import Invalid, timestamp_text
from audit.handover import hand_over
from audit.models import Record


class StatementsApi(ExportsApi):
    """Statements of the writer whose key it is."""

    def statement(self, statement_id: UUID) -> Record:
        postgres.require()
        try:
            found = statement.get(statement_id)
        except Record.DoesNotExist:
            found = None
        if found is None or (found.actor_type, found.actor_id) != ("service", self.asker().name):
            raise NotFound("No statement of this writer has this id.")
        return found


class StatementsView(StatementsApi):
    """Have one made."""

    @extend_schema(**export_schema.POST_STATEMENT)
    def post(self, request: Request) -> Response:
        postgres.require()
        asked = request.data
        if not isinstance(asked, dict) or set(asked) != {"q"} or not isinstance(asked["q"], str):
            raise Invalid({"q": "is required, a text, and nothing else: the query that is counted"})
        return Response(_shown(statement.make(self.asker(), asked["q"])), status=201)


class StatementView(StatementsApi):
    """One of them."""

    @extend_schema(**export_schema.GET_STATEMENT)
    def get(self, request: Request, statement_id: UUID) -> Response:
        return Response(_shown(self.statement(statement_id)))


class BundleView(StatementsApi):
    """Begin the bundle that lets anybody check it."""

    @extend_schema(**export_schema.POST_STATEMENT_BUNDLE)
    def post(self, request: Request, statement_id: UUID) -> Response:
        begun = statement.bundle(self.statement(statement_id), self.asker())
        hand_over(begun)
        return Response(shown(begun), status=202, headers={"Location": f"/api/v1/audit/exports/{begun.pk}"})


def _shown(found: Record) -> dict[str, Any]:
    said = found.event_data
    return {
        "statement_id": found.resource_id,
        "q": said["query"],
        "made_at": timestamp_text(found.event_timestamp),
        **{name: said[name] for name in ("found", "first", "last", "records", "note")},
    }
