"""Erasures over HTTP: asked for by a key with the scope erase, which sees what became of its own. People decide."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from audit.access import client
from audit.api.auth import writer_name
from audit.api.base import ApiView, members
from audit.api.openapi import erasures as schema
from audit.errors import Invalid
from audit.evidence.erasure import elsewhere, requests
from audit.evidence.erasure.requests import Asked
from audit.formats.times import timestamp_text
from audit.ingest.trail import Where
from audit.models import ErasureRequest
from audit.models.erasure.requests import Progress, progress_of

MAX_LISTED = 1_000


class ErasuresApi(ApiView):
    scopes: ClassVar = {"GET": "erase", "POST": "erase"}


class ErasuresView(ErasuresApi):
    """Ask for an erasure, or list those that the key has asked for."""

    @extend_schema(**schema.POST_ERASURE)
    def post(self, request: Request) -> Response:
        where = Where("service", address=client.address(request))
        made = requests.ask(_asked(request.data), by=writer_name(request), where=where)
        return Response(_shown(made, Progress()) | _elsewhere(made), status=202)

    @extend_schema(**schema.GET_ERASURES)
    def get(self, request: Request) -> Response:
        own = ErasureRequest.objects.filter(asked_by=writer_name(request)).select_related("decision")
        listed = list(own[:MAX_LISTED])
        progress = progress_of(row.pk for row in listed)
        shown = [_shown(row, progress.get(row.pk, Progress())) for row in listed]
        return Response({"erasures": shown, "total": own.count()})


class ErasureView(ErasuresApi):
    """What became of an erasure, and what it does not reach."""

    @extend_schema(**schema.GET_ERASURE)
    def get(self, request: Request, number: int) -> Response:
        own = ErasureRequest.objects.filter(asked_by=writer_name(request)).select_related("decision")
        row = own.filter(pk=number).first()
        if row is None:
            raise NotFound(f"This key has asked for no erasure {number}.")
        progress = progress_of([row.pk]).get(row.pk, Progress())
        held = {"held_records": [str(record) for record in progress.held]}
        return Response(_shown(row, progress) | _elsewhere(row) | held)


def _shown(row: ErasureRequest, progress: Progress) -> dict[str, Any]:
    decided = row.decided
    return {
        "id": row.pk,
        "state": row.state(progress),
        "asked_at": timestamp_text(row.asked_at),
        "basis": row.basis,
        "reason": row.reason,
        "records": len(row.records),
        "paths": row.paths,
        "decided_by": decided and decided.decided_by,
        "decided_at": decided and timestamp_text(decided.decided_at),
        "ground": (decided and decided.ground) or None,
        "erased": progress.erased,
        "held": len(progress.held),
        "done_at": progress.done_at and timestamp_text(progress.done_at),
    }


def _elsewhere(row: ErasureRequest) -> dict[str, Any]:
    return {"not_reached": [place._asdict() for place in elsewhere.places(row.records)]}


def _asked(document: Any) -> Asked:
    """The document, all text but `paths`, which is a list of texts and may be left out. Raises `Invalid`."""
    given, errors = members(document, Asked._fields)
    paths = given.get("paths", [])
    if not isinstance(paths, list) or not all(isinstance(path, str) and path.strip() for path in paths):
        errors["paths"] = "is a list of paths, such as event_data.user.email; leave it out for all that can be erased"
    elif any("\n" in path for path in paths):
        errors["paths"] = "has a path with a newline"
    for name in Asked._fields:
        if name != "paths" and (not isinstance(value := given.get(name), str) or not value.strip()):
            errors[name] = "is required: text"
    if errors:
        raise Invalid(errors)
    return Asked(**given | {"paths": "\n".join(paths)})
