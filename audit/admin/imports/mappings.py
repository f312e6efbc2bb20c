"""Mappings: which there are, and what one does with a pasted sample before it is used. Nothing of a sample is kept."""

import json
from typing import Any, NamedTuple

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse

from audit.admin.base import ReadOnly
from audit.errors import AuditError, Invalid
from audit.imports import catalogue, convert, take
from audit.imports.item import Item
from audit.imports.mapping import Mapping
from audit.imports.mapping import read as read_mapping
from audit.imports.read import read
from audit.models import ImportMapping

TRY = "audit.try_importmapping"
# A sample is for people to look at: so many events of it are shown.
EVENTS_SHOWN = 20
SAMPLE_CHARACTERS = 500_000


class Shown(NamedTuple):
    """What a mapping makes of an event of a sample: what it fills, by which members; or what is wrong."""

    place: str
    filled: list[convert.Filled]
    unmapped: list[str]
    event: str
    faults: list[tuple[str, str]]


@admin.register(ImportMapping)
class MappingAdmin(ReadOnly):
    views = {"<slug:name>/try/": "try"}

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        self.require_view(request)
        problem, mappings = "", []
        try:
            mappings = sorted(catalogue.every().values(), key=lambda mapping: mapping.name)
        except AuditError as error:
            problem = str(error)
        context: dict[str, Any] = {
            "title": "Mappings",
            "mappings": mappings,
            "problem": problem,
            "may_try": request.user.has_perm(TRY),
        }
        return self.page(request, "list", **context)

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        raise Http404("A mapping is a file, and is shown where it is tried: see the list of mappings.")

    def try_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Show what a mapping, or the text of one that was typed in its place, does with a sample."""
        if not request.user.has_perm(TRY):
            raise PermissionDenied
        mapping = _find(name)
        text, sample = mapping.text, ""
        context: dict[str, Any] = {}
        if request.method == "POST":
            text, sample = request.POST.get("mapping", ""), request.POST.get("sample", "")
            context = _tried(text, sample)
        title = f"Try the mapping {mapping.made_by}"
        return self.page(request, "try", title=title, mapping=mapping, text=text, sample=sample, **context)


def _find(name: str) -> Mapping:
    try:
        return catalogue.find(name)
    except AuditError as error:
        raise Http404(str(error)) from None


def _tried(text: str, sample: str) -> dict[str, Any]:
    """What the page shows of a sample, or why nothing can be shown."""
    if len(sample) > SAMPLE_CHARACTERS:
        return {"problem": f"The sample is longer than {SAMPLE_CHARACTERS:,} characters: paste a few events of it."}
    try:
        mapping = read_mapping(text.replace("\r\n", "\n"), "The mapping")
        items = read(sample.encode("utf-8", "surrogatepass"), mapping)
    except AuditError as error:
        return {"problem": str(error)}
    shown = [_shown(item, mapping) for item in items[:EVENTS_SHOWN]]
    return {"shown": shown, "more": max(len(items) - EVENTS_SHOWN, 0), "is_empty": not items, "used": mapping}


def _shown(item: Item, mapping: Mapping) -> Shown:
    original = item.original
    try:
        accepted, _ = take.accept_original(original, mapping, writer=mapping.name)
    except Invalid as error:
        unmapped = convert.unmapped(original, mapping) if isinstance(original, dict) else []
        return Shown(item.place, [], unmapped, "", list(error.errors.items()))
    whole = json.loads(accepted.body) | {"event_data": original}
    event = json.dumps(whole, indent=2, ensure_ascii=False)
    return Shown(item.place, convert.filled(original, mapping), convert.unmapped(original, mapping), event, [])
