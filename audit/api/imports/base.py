"""A body of foreign events: read, taken, and what became of each. What is wrong with one costs the others nothing."""

import zlib
from collections import Counter
from collections.abc import Sequence
from typing import IO, Any, ClassVar

import msgspec
from django.http import HttpRequest, HttpResponse
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from audit.api import parsers
from audit.api.auth import writer_name
from audit.api.base import Answer, ApiView
from audit.api.problems import CONTENT_TYPE, problem
from audit.errors import Invalid
from audit.imports import catalogue, convert
from audit.imports.item import Item
from audit.imports.mapping import Mapping
from audit.imports.read import read
from audit.imports.reading.opening import GZIP
from audit.imports.reading.window import Broken
from audit.imports.take import PORTION, Taken, portions, take
from audit.receipts import issue

STATES = ("stored", "duplicate", "parked", "dead", "refused")
UNMAPPED_NAMED = 100


class ForeignBody(BaseParser):
    """A body of whatever type: its view knows how its events are read."""

    media_type = "*/*"

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None) -> Any:
        view: ForeignView = parser_context["view"]
        return view.read(parser_context["request"]._request)


class ForeignView(ApiView):
    """Events of another system in, each by itself: stored, parked, or kept as it came."""

    scopes: ClassVar = {"POST": "write"}
    works_without_postgres = ("POST",)
    takes_events = many = True
    parser_classes = [ForeignBody]  # noqa: RUF012  # as the base has it
    # The name of its mapping.
    source = ""

    @property
    def mapping(self) -> Mapping:
        """Raises `NoMapping`."""
        return catalogue.find(self.source)

    def read(self, request: HttpRequest) -> list[Item]:
        """Return the events of a request. Raises `Invalid`, and what reading a body raises."""
        return read_body(text_of(request), self.mapping)

    def taken(self, request: Request) -> list[Taken]:
        """Take the events of a request. Raises `Invalid` for a body that cannot be read, `NothingKept`."""
        items = request.data
        if not isinstance(items, list):  # a body without a length, or of none
            items = self.read(request._request)
        return take(items, self.mapping, writer=writer_name(request))


def text_of(request: HttpRequest) -> bytes:
    """Return a body as it was before it was compressed: as its headers say, or as a file that was sent as it is.

    Raises what `parsers.text_of` raises.
    """
    body = parsers.text_of(request)
    if not body.startswith(GZIP):
        return body
    try:
        return parsers.unzipped(body)
    except zlib.error:
        raise Invalid(
            {"": "the body begins as gzip does, and is damaged: send the file whole, or what is in it"}
        ) from None


def read_body(body: bytes, mapping: Mapping) -> list[Item]:
    """Raises `Invalid`."""
    if not body.strip():
        raise Invalid({"": "the body is empty: send events"})
    try:
        return read(body, mapping)
    except Broken as error:
        raise Invalid({"": f"the body cannot be read: {error}"}) from None


def answer(taken: Sequence[Taken], mapping: Mapping, path: str) -> HttpResponse:
    """Say what became of each event. 400 where none was kept, although there were some."""
    counts = _counts(taken)
    errors = errors_of(taken)
    if taken and counts["refused"] == len(taken):
        detail = "none of the events could be mapped, and no more is kept today as it comes; nothing was kept."
        body = problem(400, "validation-error", detail, instance=path, field_errors=errors)
        return HttpResponse(msgspec.json.encode(body), content_type=CONTENT_TYPE, status=400)
    names = Counter(
        name
        for each in taken
        if isinstance(each.item.original, dict)
        for name in convert.unmapped(each.item.original, mapping)
    )
    body = {
        "message": summary(taken),
        "mapping": mapping.made_by,
        "count": len(taken),
        "states": {state: counts[state] for state in STATES},
        "receipts": _receipts(taken),
        "events": [{"event_id": each.id and str(each.id), "state": each.state} for each in taken],
        "field_errors": errors,
        "unmapped": [name for name, _ in names.most_common(UNMAPPED_NAMED)],
    }
    return Answer(body, 201 if counts["stored"] else 202 if counts["parked"] or counts["dead"] else 200)


def _receipts(taken: Sequence[Taken]) -> list[str]:
    """Signed receipts of what is kept as events, each event once; none where there is no key, as `issue.sign` says."""
    promised = {each.recorded.event.id: each.recorded for each in taken if each.recorded is not None}
    signed = [issue.sign(portion) for portion in portions(promised.values(), PORTION)]
    return [receipt for receipt in signed if receipt is not None]


def _counts(taken: Sequence[Taken]) -> Counter[str]:
    return Counter(each.state for each in taken)


def errors_of(taken: Sequence[Taken]) -> dict[str, str]:
    """What is wrong with events, by their place in the request and the member at fault."""
    return {
        f"{place}.{field}".rstrip("."): text for place, each in enumerate(taken) for field, text in each.errors.items()
    }


def summary(taken: Sequence[Taken]) -> str:
    """Return what became of the events, in a sentence."""
    counts = _counts(taken)
    purged = sum(each.is_purged for each in taken)
    words = {
        "stored": "stored",
        "duplicate": f"there already ({purged} purged since)" if purged else "there already",
        "parked": "parked",
        "dead": "not mapped, and kept as they came for a person",
        "refused": "refused",
    }
    said = ", ".join(f"{counts[state]} {word}" for state, word in words.items() if counts[state])
    return f"{len(taken)} events: {said or 'none'}"
