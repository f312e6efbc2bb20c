"""Signed statements over HTTP: how many records match a query."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from audit.api import throttles
from audit.api.base import begun
from audit.api.evidence.exports import EXPORTS_PATH, ExportsApi, shown
from audit.api.openapi import evidence
from audit.errors import Invalid
from audit.evidence import statements
from audit.formats.times import timestamp_text
from audit.models import Record


class StatementsApi(ExportsApi):
    """Statements of the writer whose key it is."""

    def statement(self, statement_id: UUID) -> Record:
        try:
            statement = statements.get(statement_id)
        except Record.DoesNotExist:
            statement = None
        if statement is None or (statement.actor_type, statement.actor_id) != ("service", self.requester().name):
            raise NotFound("No statement of this writer has this id.")
        return statement


class StatementsView(StatementsApi):
    """Have a statement made."""

    @extend_schema(**evidence.POST_STATEMENT)
    def post(self, request: Request) -> Response:
        members = request.data
        if not isinstance(members, dict) or set(members) != {"q"} or not isinstance(members["q"], str):
            raise Invalid({"q": "is required, a text, and nothing else: the query that is counted"})
        return Response(_shown(statements.make(self.requester(), members["q"])), status=201)


class StatementView(StatementsApi):
    """A statement that was made."""

    @extend_schema(**evidence.GET_STATEMENT)
    def get(self, request: Request, statement_id: UUID) -> Response:
        return Response(_shown(self.statement(statement_id)))


class StatementBundleView(StatementsApi):
    """Begin the bundle that lets anybody check it."""

    @extend_schema(**evidence.POST_STATEMENT_BUNDLE)
    def post(self, request: Request, statement_id: UUID) -> Response:
        throttles.check_exports(request)
        requester = self.requester()
        statement = self.statement(statement_id)
        bundle = statements.request_bundle(statement, requester, unredacted=requester.may_unredacted)
        return begun(bundle, shown(bundle), EXPORTS_PATH)


def _shown(statement: Record) -> dict[str, Any]:
    facts = statement.event_data
    return {
        "statement_id": statement.resource_id,
        "q": facts["query"],
        "made_at": timestamp_text(statement.event_timestamp),
        **{name: facts[name] for name in ("found", "first", "last", "records", "note")},
    }
