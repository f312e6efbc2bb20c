"""Signed statements over HTTP: how many records match a query, none most of all."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from audit.api import quotas
from audit.api.exports import ExportsApi, shown
from audit.api.openapi import evidence
from audit.errors import Invalid
from audit.evidence import statements
from audit.formats.times import timestamp_text
from audit.models import Record
from audit.tasks import enqueue


class StatementsApi(ExportsApi):
    """Statements of the writer whose key it is."""

    def statement(self, statement_id: UUID) -> Record:
        try:
            found = statements.get(statement_id)
        except Record.DoesNotExist:
            found = None
        if found is None or (found.actor_type, found.actor_id) != ("service", self.asker().name):
            raise NotFound("No statement of this writer has this id.")
        return found


class StatementsView(StatementsApi):
    """Have one made."""

    @extend_schema(**evidence.POST_STATEMENT)
    def post(self, request: Request) -> Response:
        asked = request.data
        if not isinstance(asked, dict) or set(asked) != {"q"} or not isinstance(asked["q"], str):
            raise Invalid({"q": "is required, a text, and nothing else: the query that is counted"})
        return Response(_shown(statements.make(self.asker(), asked["q"])), status=201)


class StatementView(StatementsApi):
    """One of them."""

    @extend_schema(**evidence.GET_STATEMENT)
    def get(self, request: Request, statement_id: UUID) -> Response:
        return Response(_shown(self.statement(statement_id)))


class BundleView(StatementsApi):
    """Begin the bundle that lets anybody check it."""

    @extend_schema(**evidence.POST_STATEMENT_BUNDLE)
    def post(self, request: Request, statement_id: UUID) -> Response:
        quotas.check_exports(request)
        begun = statements.bundle(self.statement(statement_id), self.asker())
        enqueue(begun)
        return Response(shown(begun), status=202, headers={"Location": f"/api/v1/audit/exports/{begun.pk}"})


def _shown(found: Record) -> dict[str, Any]:
    said = found.event_data
    return {
        "statement_id": found.resource_id,
        "q": said["query"],
        "made_at": timestamp_text(found.event_timestamp),
        **{name: said[name] for name in ("found", "first", "last", "records", "note")},
    }
