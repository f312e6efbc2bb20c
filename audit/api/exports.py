"""Evidence bundles over HTTP: asked for, looked after, cancelled, gone on with, and fetched in parts."""

from typing import Any, ClassVar
from uuid import UUID

from django.http import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from audit.access import client
from audit.api import quotas
from audit.api.auth import writer_name
from audit.api.base import ApiView
from audit.api.negotiation import IgnoreAccept
from audit.api.openapi import evidence
from audit.errors import Invalid
from audit.evidence import download, export, extract
from audit.evidence.request import Asker, Wanted
from audit.formats.times import timestamp_text
from audit.models import Export
from audit.search import query
from audit.tasks import enqueue

MEMBERS = {"q": str, "first": int, "last": int, "received_since": str, "received_until": str}
MEMBERS |= {"csv": bool, "unredacted": bool, "sample": int, "seed": str}
WAYS = ({"q"}, {"first", "last"}, {"received_since", "received_until"})


class ExportsApi(ApiView):
    """Bundles of the writer whose key it is."""

    scopes: ClassVar = {"GET": "export", "POST": "export"}

    def asker(self) -> Asker:
        principal: Any = self.request.user
        may_unredacted = "unredacted" in principal.scopes
        return Asker(writer_name(self.request), True, principal.sight, client.address(self.request), may_unredacted)

    def found(self, export_id: UUID) -> Export:
        found: Export | None = export.whose(self.asker()).filter(pk=export_id).first()
        if found is None:
            raise NotFound("No evidence bundle of this writer has this id.")
        return found


class ExtractView(ExportsApi):
    """A few records at once, verified and signed."""

    @extend_schema(**evidence.GET_EXTRACT)
    def get(self, request: Request) -> Response:
        filters = request.query_params.dict()
        unredacted = filters.pop("unredacted", "false")
        errors: dict[str, str] = {
            name: "this parameter is unknown here" for name in ("limit", "offset", "after") if name in filters
        }
        if unredacted not in ("true", "false"):
            errors["unredacted"] = "must be true or false"
        if errors:
            raise Invalid(errors)
        search = query.parse(filters)
        query.admit(search, filters)
        return Response(extract.make(self.asker(), search, filters, unredacted=unredacted == "true"))


class ExportsView(ExportsApi):
    """Ask for a bundle."""

    @extend_schema(**evidence.POST_EXPORT)
    def post(self, request: Request) -> Response:
        quotas.check_exports(request)
        begun = export.ask(self.asker(), **_wanted(_asked(request.data)))
        enqueue(begun)
        return Response(shown(begun), status=202, headers={"Location": f"{request.path}/{begun.pk}"})


class ExportView(ExportsApi):
    """How far a bundle is."""

    @extend_schema(**evidence.GET_EXPORT)
    def get(self, request: Request, export_id: UUID) -> Response:
        return Response(shown(self.found(export_id)))


class CancelView(ExportsApi):
    """Stop the making of a bundle."""

    @extend_schema(**evidence.CANCEL_EXPORT)
    def post(self, request: Request, export_id: UUID) -> Response:
        export.cancel(self.found(export_id), self.asker())
        return Response(shown(self.found(export_id)))


class ResumeView(ExportsApi):
    """Go on with a bundle that was cancelled or failed."""

    @extend_schema(**evidence.RESUME_EXPORT)
    def post(self, request: Request, export_id: UUID) -> Response:
        if export.resume(self.found(export_id), self.asker()):
            enqueue(self.found(export_id))
        return Response(shown(self.found(export_id)))


class FileView(ExportsApi):
    """The zip of a bundle, or one of the files in it."""

    content_negotiation_class = IgnoreAccept

    @extend_schema(**evidence.GET_EXPORT_FILE)
    def get(self, request: Request, export_id: UUID, name: str) -> HttpResponseBase:
        try:
            piece = export.fetch(self.found(export_id), self.asker(), name)
        except KeyError:
            raise NotFound(f"There is no file {name!r} in this bundle: its manifest names them.") from None
        return download.response(request._request, piece)


def _asked(document: Any) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise Invalid({"": "must be a JSON object"})
    errors = {name: "this member is unknown" for name in document if name not in MEMBERS}
    for name, kind in MEMBERS.items():
        if name in document and type(document[name]) is not kind:
            errors[name] = f"must be {evidence.MEMBERS[name]['type']}"
    if errors:
        raise Invalid(errors)
    return document


def _wanted(asked: dict[str, Any]) -> Wanted:
    if sum(bool(asked.keys() & way) for way in WAYS) != 1:
        raise Invalid(
            {"q": "is required, or else first or last, or received_since: one of them; an empty q asks for everything"}
        )
    wanted = Wanted(query=asked.get("q", ""), with_csv=asked.get("csv", False))
    wanted["unredacted"] = asked.get("unredacted", False)
    wanted["sample"], wanted["seed"] = asked.get("sample"), asked.get("seed", "")
    if asked.keys() & WAYS[2]:
        wanted["received"] = asked.get("received_since", ""), asked.get("received_until", "0s")
    elif "q" not in asked:
        wanted["first"], wanted["last"] = asked.get("first"), asked.get("last")
    return wanted


def shown(found: Export) -> dict[str, Any]:
    """A bundle as the API answers it."""
    return {
        "export_id": str(found.pk),
        "state": found.state,
        "kind": found.kind,
        "q": found.query,
        "first": found.first if found.kind == "range" else None,
        "last": found.last if found.kind == "range" else None,
        "received": found.received,
        "sample": found.sample,
        "seed": found.seed,
        "population": found.population,
        "redacted_by": [rule["name"] for rule in found.redaction],
        "log_size": found.size,
        "done": found.done,
        "of": found.total,
        "requested_at": timestamp_text(found.requested_at),
        "expires_at": found.expires_at and timestamp_text(found.expires_at),
        "error": found.error,
        "digest": found.digest,
        "bytes": found.bytes,
        "file": found.name if found.state == "ready" else None,
        "manifest": found.manifest,
    }
