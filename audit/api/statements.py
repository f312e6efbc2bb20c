"""Signed statements over HTTP: how many records match a query, none most of all."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from audit.api.base import begun
from audit.api.exports import EXPORTS_PATH, ExportsApi, shown
from audit.api.openapi import evidence
from audit.errors import Invalid
from audit.evidence import statements
from audit.formats.times import timestamp_text
from audit.models import Record


class StatementsApi(ExportsApi):
    """Statements of the writer whose key it is."""

    def statement(self, statement_id: UUID) -> Record:
        try:
            record = statements.get(statement_id)
        except Record.DoesNotExist:
            record = None
        if record is None or (record.actor_type, record.actor_id) != ("service", self.asker().name):
            raise NotFound("No statement of this writer has this id.")
        return record


class StatementsView(StatementsApi):
    """Have one made."""

    @extend_schema(**evidence.POST_STATEMENT)
    def post(self, request: Request) -> Response:
        given = request.data
        if not isinstance(given, dict) or set(given) != {"q"} or not isinstance(given["q"], str):
            raise Invalid({"q": "is required, a text, and nothing else: the query that is counted"})
        return Response(_shown(statements.make(self.asker(), given["q"])), status=201)


class StatementView(StatementsApi):
    """One of them."""

    @extend_schema(**evidence.GET_STATEMENT)
    def get(self, request: Request, statement_id: UUID) -> Response:
        return Response(_shown(self.statement(statement_id)))


class BundleView(StatementsApi):
    """Begin the bundle that lets anybody check it."""

    @extend_schema(**evidence.POST_STATEMENT_BUNDLE)
    def post(self, request: Request, statement_id: UUID) -> Response:
        bundle = statements.bundle(self.statement(statement_id), self.asker())
        return begun(bundle, shown(bundle), EXPORTS_PATH)


def _shown(record: Record) -> dict[str, Any]:
    said = record.event_data
    return {
        "statement_id": record.resource_id,
        "q": said["query"],
        "made_at": timestamp_text(record.event_timestamp),
        **{name: said[name] for name in ("found", "first", "last", "records", "note")},
    }
