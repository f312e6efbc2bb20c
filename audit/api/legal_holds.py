"""Legal holds over HTTP: placed, listed and released by a key with the scope hold."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from audit.access import client
from audit.api.auth import writer_name
from audit.api.base import ApiView, members
from audit.api.openapi import legal_holds as schema
from audit.errors import Invalid
from audit.formats.times import timestamp_text
from audit.ingest.trail import Where
from audit.models import LegalHold
from audit.retention import legal_holds

MAX_LISTED = 1_000


class HoldsApi(ApiView):
    scopes: ClassVar = {"GET": "hold", "POST": "hold", "DELETE": "hold"}

    def where(self) -> Where:
        return Where("service", address=client.address(self.request))


class HoldsView(HoldsApi):
    """Place a hold on a correlation, or list those in force on one."""

    @extend_schema(**schema.POST_HOLD)
    def post(self, request: Request) -> Response:
        given, by = _texts(request.data, ("correlation_id", "reason")), writer_name(request)
        try:
            placed = legal_holds.place(
                given["correlation_id"], reason=given["reason"], by=by, by_service=True, where=self.where()
            )
        except legal_holds.NothingToHold as error:
            raise NotFound(str(error)) from None
        return Response(_shown(placed) | {"events_affected": _affected(placed)})

    @extend_schema(**schema.GET_HOLDS)
    def get(self, request: Request) -> Response:
        in_force = legal_holds.visible().in_force().on_correlations()
        listed = list(in_force[:MAX_LISTED])
        affected = legal_holds.affected(hold.correlation_id for hold in listed)
        holds = [_shown(hold) | {"events_affected": affected[hold.correlation_id]} for hold in listed]
        return Response({"holds": holds, "total": in_force.count()})


class HoldView(HoldsApi):
    """Release the hold that a service placed on a correlation."""

    @extend_schema(**schema.DELETE_HOLD)
    def delete(self, request: Request, correlation_id: str) -> Response:
        reason = _texts(request.data, ("release_reason",))["release_reason"]
        try:
            released = legal_holds.release(correlation_id, reason=reason, by=writer_name(request), where=self.where())
        except legal_holds.NotHeld as error:
            raise NotFound(str(error)) from None
        except (legal_holds.SeenInPart, legal_holds.HeldByPeople) as error:
            raise PermissionDenied(str(error)) from None
        return Response(_shown(released) | {"events_released": _affected(released)})


def _shown(hold: LegalHold) -> dict[str, Any]:
    return {
        "correlation_id": hold.correlation_id,
        "reason": hold.reason,
        "placed_by": hold.placed_by,
        "placed_at": timestamp_text(hold.placed_at),
        "released_by": hold.released and hold.released.released_by,
        "released_at": hold.released and timestamp_text(hold.released.released_at),
        "release_reason": hold.released and hold.released.reason,
    }


def _affected(hold: LegalHold) -> int:
    return legal_holds.affected([hold.correlation_id])[hold.correlation_id]


def _texts(document: Any, names: tuple[str, ...]) -> dict[str, str]:
    """The document, which has these members and no others, all text. Raises `Invalid`."""
    given, errors = members(document, names)
    for name in names:
        if not isinstance(value := given.get(name), str) or not value or "\x00" in value:
            errors[name] = "is required: text without U+0000"
    if errors:
        raise Invalid(errors)
    return given
