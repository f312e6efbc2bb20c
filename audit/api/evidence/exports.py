"""Evidence bundles over HTTP: request, state, cancel, resume, and download in parts."""

from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import UUID

from django.http import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from audit.access import client
from audit.api import throttles
from audit.api.auth import writer_name
from audit.api.base import ApiView, begun, members, parameters
from audit.api.openapi import evidence
from audit.errors import Invalid, TooManyMatch
from audit.evidence import download, export, extract
from audit.evidence.request import ExportRequest, Requester
from audit.formats.times import timestamp_text
from audit.models import Export
from audit.search import query
from audit.tasks import enqueue

MEMBERS = {"q": str, "first": int, "last": int, "received_since": str, "received_until": str}
MEMBERS |= {"csv": bool, "unredacted": bool, "sample": int, "seed": str}
EXPORTS_PATH = "/api/v1/audit/exports"
# A request has members of exactly one of these.
WAYS = ({"q"}, {"first", "last"}, {"received_since", "received_until"})


class ExportsApi(ApiView):
    """Bundles of the writer whose key it is."""

    scopes: ClassVar = {"GET": "export", "POST": "export"}

    def requester(self) -> Requester:
        principal: Any = self.request.user
        may_unredacted = "unredacted" in principal.scopes
        return Requester(writer_name(self.request), True, principal.sight, client.address(self.request), may_unredacted)

    def bundle(self, export_id: UUID) -> Export:
        bundle = export.requested_by(self.requester()).filter(pk=export_id).first()
        if bundle is None:
            raise NotFound("No evidence bundle of this writer has this id.")
        return bundle


class ExtractView(ExportsApi):
    """A few records, verified and signed."""

    @extend_schema(**evidence.GET_EXTRACT)
    def get(self, request: Request) -> Response:
        filters = parameters(request)
        asked, wanted = _asked(filters)
        search = query.parse(asked)
        query.admit(search, asked)
        return Response(extract.make(self.requester(), search, filters, wanted))


class ExportsView(ExportsApi):
    """Ask for a bundle."""

    @extend_schema(**evidence.POST_EXPORT)
    def post(self, request: Request) -> Response:
        throttles.check_exports(request)
        bundle = export.request(self.requester(), **_wanted(_members(request.data)))
        return begun(bundle, shown(bundle), request.path)


class ExportView(ExportsApi):
    """How far a bundle is."""

    @extend_schema(**evidence.GET_EXPORT)
    def get(self, request: Request, export_id: UUID) -> Response:
        return Response(shown(self.bundle(export_id)))


class CancelView(ExportsApi):
    """Stop the making of a bundle."""

    @extend_schema(**evidence.CANCEL_EXPORT)
    def post(self, request: Request, export_id: UUID) -> Response:
        export.cancel(self.bundle(export_id), self.requester())
        return Response(shown(self.bundle(export_id)))


class ResumeView(ExportsApi):
    """Go on with a bundle that was cancelled or failed."""

    @extend_schema(**evidence.RESUME_EXPORT)
    def post(self, request: Request, export_id: UUID) -> Response:
        if export.reopen(self.bundle(export_id), self.requester()):
            enqueue(self.bundle(export_id))
        return Response(shown(self.bundle(export_id)))


class FileView(ExportsApi):
    """The zip of a bundle, or one of the files in it."""

    @extend_schema(**evidence.GET_EXPORT_FILE)
    def get(self, request: Request, export_id: UUID, name: str) -> HttpResponseBase:
        try:
            piece = export.fetch(self.bundle(export_id), self.requester(), name)
        except KeyError:
            raise NotFound(f"There is no file {name!r} in this bundle: its manifest names them.") from None
        return download.response(request._request, piece)


def _asked(filters: Mapping[str, str]) -> tuple[dict[str, str], extract.Wanted]:
    """The parameters of the search, and how its records are asked for. Raises `Invalid`, `TooManyMatch`."""
    parameters, errors = dict(filters), dict[str, str]()
    switches = dict.fromkeys(evidence.SWITCHES, False)
    for name in evidence.SWITCHES:
        if (text := parameters.pop(name, "false")) not in ("true", "false"):
            errors[name] = "must be true or false"
        switches[name] = text == "true"
    if parameters.pop("format", "json") != "json":
        errors["format"] = "must be json: POST exports makes a table, too"
    for name, ours in (("start_time", "since"), ("end_time", "until")):
        if name in parameters and ours in parameters:
            errors[name] = f"says what {ours} says: send one of them"
        elif name in parameters:
            parameters[ours] = parameters.pop(name)
    page = parameters.pop("limit", None)
    if page is not None and not (page.isascii() and page.isdigit() and 0 < len(page) < 10 and int(page) > 0):
        errors["limit"] = "must be a whole number above 0"
    if "after" in parameters:
        errors["after"] = "this parameter is unknown here"
    if errors:
        raise Invalid(errors)
    if page is not None and int(page) > evidence.MAX_PAGE:
        raise TooManyMatch(f"At most {evidence.MAX_PAGE:,} records are exported at once: go by limit and offset.")
    wanted = extract.Wanted(
        unredacted=switches["unredacted"],
        personal=switches["redact_pii"],
        detached=switches["include_detached_signature"],
        page=None if page is None else int(page),
    )
    return parameters, wanted


def _members(document: Any) -> dict[str, Any]:
    given, errors = members(document, MEMBERS)
    for name, kind in MEMBERS.items():
        if name in given and type(given[name]) is not kind:
            errors[name] = f"must be {evidence.MEMBERS[name]['type']}"
    if errors:
        raise Invalid(errors)
    return given


def _wanted(given: dict[str, Any]) -> ExportRequest:
    if sum(bool(given.keys() & way) for way in WAYS) != 1:
        raise Invalid(
            {"q": "is required, or else first or last, or received_since: one of them; an empty q asks for everything"}
        )
    wanted = ExportRequest(query=given.get("q", ""), with_csv=given.get("csv", False))
    wanted["unredacted"] = given.get("unredacted", False)
    wanted["sample"], wanted["seed"] = given.get("sample"), given.get("seed", "")
    if given.keys() & WAYS[2]:
        wanted["received"] = given.get("received_since", ""), given.get("received_until", "0s")
    elif "q" not in given:
        wanted["first"], wanted["last"] = given.get("first"), given.get("last")
    return wanted


def shown(bundle: Export) -> dict[str, Any]:
    is_range = bundle.kind == "range"
    return {
        "export_id": str(bundle.pk),
        "state": bundle.state,
        "kind": bundle.kind,
        "q": bundle.query,
        "first": bundle.first if is_range else None,
        "last": bundle.last if is_range else None,
        "received": bundle.received,
        "sample": bundle.sample,
        "seed": bundle.seed,
        "population": bundle.population,
        "redacted_by": [rule["name"] for rule in bundle.redaction],
        "log_size": bundle.size,
        "done": bundle.done,
        "of": bundle.total,
        "requested_at": timestamp_text(bundle.requested_at),
        "expires_at": bundle.expires_at and timestamp_text(bundle.expires_at),
        "error": bundle.error,
        "digest": bundle.digest,
        "bytes": bundle.bytes,
        "file": bundle.name if bundle.state == "ready" else None,
        "manifest": bundle.manifest,
    }
