"""Archived records: what was read back from archives, searched by the words of the search. Looking is recorded."""

from typing import Any, ClassVar
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse

from audit import safe_text
from audit.admin.base import ReadOnly
from audit.admin.display import OUTCOMES, badge, breakable, pretty, time_tag
from audit.archive import archived
from audit.archive.archived import Shown
from audit.errors import Invalid
from audit.models import Archive, ArchivedRecord
from audit.search.query import cursor_at, read_cursor

UNREDACTED = "audit.export_unredacted"


@admin.register(ArchivedRecord)
class ArchivedRecordAdmin(ReadOnly):
    views: ClassVar = {"<uuid:archive_id>/<int:leaf>/": "detail"}

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        self.require_view(request)
        asked = {name: request.GET.get(name, "").replace("\x00", "") for name in ("q", "archive", "after")}
        wrong, shown = "", archived.ShownPage([], False)
        try:
            after = read_cursor(asked["after"]) if asked["after"] else None
            unredacted = request.user.has_perm(UNREDACTED)
            shown = archived.find(asked["q"], archive=_archive(asked), after=after, unredacted=unredacted)
        except Invalid as error:
            wrong = "; ".join(error.errors.values())
        except ValueError as error:
            wrong = f"after: {error}"
        return self.page(
            request,
            "list",
            status=400 if wrong else 200,
            title="Archived records",
            asked=asked,
            wrong=wrong,
            rows=[_row(row) for row in shown.rows],
            next_url=_following(asked, shown.rows[-1]) if shown.more else "",
            first_url=_address(asked | {"after": ""}) if asked["after"] else "",
            archives=Archive.objects.filter(volumes__read_at__isnull=False).distinct(),
        )

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        raise Http404("An archived record is shown with the archive that it came from: search for its id.")

    def detail_view(self, request: HttpRequest, archive_id: UUID, leaf: int) -> HttpResponse:
        self.require_view(request)
        shown = archived.at_leaf(archive_id, leaf, unredacted=request.user.has_perm(UNREDACTED))
        if shown is None:
            raise Http404(f"No record of the log entry {leaf} was read back from the archive {archive_id}.")
        archive = Archive.objects.get(pk=archive_id)
        data = shown.record.pop("event_data", None)
        return self.page(
            request,
            "detail",
            title=shown.record["event_type"],
            shown=shown,
            archive=archive,
            last_leaf=archive.last - 1,
            volume=archive.volumes.get(first__lte=leaf, last__gt=leaf),
            happened=time_tag(shown.at),
            outcome=badge(OUTCOMES[shown.record["event_outcome"]], shown.record["event_outcome"]),
            fields=[(name, safe_text.exact(str(value))) for name, value in shown.record.items() if value is not None],
            data=None if data is None else pretty(data),
            redacted=sorted(shown.redacted.items()),
        )


def _archive(asked: dict[str, str]) -> UUID | None:
    try:
        return UUID(asked["archive"]) if asked["archive"] else None
    except ValueError:
        raise Invalid({"archive": "there is no archive of this id"}) from None


def _row(shown: Shown) -> dict[str, Any]:
    """What the list shows of a record; a value that is redacted is said to be."""
    record = shown.record
    empty = {name: "redacted" if name in shown.redacted else "—" for name in _COLUMNS}
    values = {name: breakable(record.get(name) or empty[name]) for name in _COLUMNS}
    outcome = badge(OUTCOMES[record["event_outcome"]], record["event_outcome"])
    return {"shown": shown, "time": time_tag(shown.at), "outcome": outcome, "values": values}


_COLUMNS = ("event_type", "actor_id", "resource_type", "resource_id", "writer")


def _following(asked: dict[str, str], last: Shown) -> str:
    return _address(asked | {"after": cursor_at(last.at, UUID(last.record["event_id"]))})


def _address(asked: dict[str, str]) -> str:
    given = {name: value for name, value in asked.items() if value}
    return f"{reverse('admin:audit_archivedrecord_changelist')}?{urlencode(given)}"
