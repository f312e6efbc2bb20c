"""Archives: which ranges of the log lie elsewhere, where, and what the last check of each said."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from audit.admin.base import ReadOnly
from audit.admin.display import badge, column, time_column, time_tag
from audit.admin.evidence.exports import own_or_404
from audit.ledger.verify import Verdict
from audit.models import Archive, ArchiveCheck, ArchiveVolume

CHECKS_SHOWN, VOLUMES_SHOWN = 20, 200


@admin.register(Archive)
class ArchiveAdmin(ReadOnly):
    list_display = ("leaves", "records", "state_badge", "folder", "begun", "requested_by")
    list_display_links = ("leaves",)
    change_list_template = "admin/audit/archive/list.html"
    sortable_by = ()

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        self.require_view(request)
        archive = own_or_404(self.get_queryset(request), object_id)
        volumes, checks = archive.volumes.all(), archive.checks.all()[:CHECKS_SHOWN]
        last = archive.last_check()
        return self.page(
            request,
            "detail",
            title=f"Archive of the log entries {self.leaves(archive)}",
            archive=archive,
            leaves=self.leaves(archive),
            state=self.state_badge(archive),
            begun=time_tag(archive.requested_at),
            ended=time_tag(archive.ended_at),
            last=last,
            last_folder=last.folder if last else archive.folder,
            checks=[(check, time_tag(check.ended_at), verdict_badge(check)) for check in checks],
            volumes=[_volume(volume) for volume in volumes[:VOLUMES_SHOWN]],
            volumes_count=volumes.count(),
        )

    leaves = column("log entries", lambda archive: f"{archive.first:,} to {archive.last - 1:,}")
    records = column("records", lambda archive: f"{archive.done:,}")
    state_badge = column("last check", lambda archive: state_badge(archive))
    begun = time_column("created (UTC)", "requested_at", sortable=False)


def _volume(volume: ArchiveVolume) -> dict[str, Any]:
    """What the page shows of a volume; times to the second."""
    since, until = (f"{time[:10]} {time[11:19]}Z" for time in (volume.since, volume.until))
    return {"volume": volume, "last": volume.last - 1, "since": since, "until": until}


def state_badge(archive: Archive) -> SafeString:
    """What the last check said; an archive that is not whole, or was never checked whole, counts for nothing."""
    if archive.is_under_way:
        return badge("pending", "not whole yet")
    last = archive.last_check()
    if last is None:
        return badge("warning", "never checked")
    return format_html("{} {}", verdict_badge(last), time_tag(last.ended_at))


def verdict_badge(check: ArchiveCheck) -> SafeString:
    kinds = {Verdict.VERIFIED.value: "ok", Verdict.NOT_COVERED.value: "warning"}
    return badge(kinds.get(check.verdict, "error"), check.verdict)
