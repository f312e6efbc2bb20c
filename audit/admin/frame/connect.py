"""How to connect a service: requests to paste, as docs/connect.md has them, and the first event as it arrives."""

import re
from functools import cache
from typing import NamedTuple

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from audit import visibility
from audit.admin.display import time_tag
from audit.models import OWN_WRITER, Record, Rhythm, Writer

GUIDE = settings.BASE_DIR / "docs" / "connect.md"
LANGUAGES = ("curl", "Python", "Go")
_CODE = re.compile(r"^```\w+\n(.*?)^```", re.DOTALL | re.MULTILINE)
_READING = re.compile(r"^.*# needs the scope read\n", re.MULTILINE)


class Sample(NamedTuple):
    language: str
    code: str


def page(request: HttpRequest) -> HttpResponse:
    """The page of a writer that is to be connected, or of none yet."""
    if not request.user.has_perm("audit.view_writer"):
        raise PermissionDenied
    writer = Writer.objects.filter(name=request.GET.get("writer", "").replace("\x00", "")).first()
    title = f"Connect {writer}" if writer else "Connect a service"
    context = {**admin.site.each_context(request), "title": title, "writer": writer}
    context |= guide(request, reads=writer is not None and "read" in writer.scopes)
    return TemplateResponse(
        request, "admin/connect.html", context | {"first": first_event(writer.name) if writer else ""}
    )


def guide(request: HttpRequest, *, reads: bool = False) -> dict[str, object]:
    """What the pages about connecting have in common: the address of the store, and the samples for such a key."""
    return {"api": request.build_absolute_uri("/api/v1/audit"), "samples": samples(reads=reads)}


@cache
def samples(*, reads: bool) -> list[Sample]:
    """Return the first block of code under the heading of each language, for a key that reads too, or sends alone."""
    text = GUIDE.read_text(encoding="utf-8")
    parts = {part.partition("\n")[0].strip(): part for part in text.split("\n## ")}
    codes = {name: _CODE.search(parts[name]) for name in LANGUAGES if name in parts}
    return [Sample(name, code[1] if reads else _READING.sub("", code[1])) for name, code in codes.items() if code]


@visibility.as_system()
def first_event(writer: str) -> str:
    """When the first event of a writer happened; "" where none came yet. That one came is no look at a record."""
    record = Record.objects.filter(writer=writer).order_by("event_timestamp", "id").first()
    return time_tag(record.event_timestamp) if record is not None else ""


def is_needed() -> bool:
    """Whether no service but the store itself was heard yet."""
    return not Rhythm.objects.exclude(writer=OWN_WRITER).exists()
