"""Of a restore on the page of the sealed log: the request that the log go on, its cross-links, backups and drills."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html

from audit.admin.base import post_act
from audit.admin.display import badge, time_tag
from audit.errors import AuditError
from audit.ledger import resume
from audit.models import LogResume
from audit.recovery import history

PERMISSION = "audit.approve_logresume"


def facts(request: HttpRequest) -> dict[str, Any]:
    """What the page shows; of cross-links that cannot be believed, why."""
    row = resume.waiting()
    try:
        links, fault = [(link, time_tag(link.says.at)) for link in resume.links()], ""
    except AuditError as error:
        links, fault = [], str(error)
    return {
        "resume": row,
        "resume_asked": row and time_tag(row.asked_at),
        "resume_known": [] if row is None else [_known(row, *known) for known in row.known],
        "may_decide": row is not None
        and not row.decision
        and request.user.has_perm(PERMISSION)
        and request.user.get_username() != row.asked_by,
        "links": links,
        "links_fault": fault,
        "backup": _backup(),
        "drill": _drill(),
    }


def decide(request: HttpRequest, pk: int) -> HttpResponse:
    """Approve or decline, as whoever did not ask."""

    def act() -> None:
        row = LogResume.objects.filter(pk=pk, decision="").first()
        if row is None:
            raise Http404("Nothing waits for a decision here.")
        resume.decide(row, approve="approve" in request.POST, by=request.user.get_username())

    return post_act(request, PERMISSION, act, back=reverse("admin:audit_checkpoint_changelist"))


def _known(row: LogResume, origin: str, size: int, _root: str, where: str) -> tuple[str, int, int, str]:
    return origin, size, max(size - row.restored[1], 0), where


def _backup() -> tuple[Any, str]:
    """When the last one began, and what it is."""
    last = history.last_backup()
    if last is None:
        return badge("warning", "none"), "No backup is known to this store: manage.py backup."
    return time_tag(last.began_at), f"{last.name}, {last.bytes / 2**20:,.0f} MiB, by {last.made_by}"


def _drill() -> tuple[Any, str]:
    last = history.last_drill()
    if last is None:
        return badge("warning", "none"), "No backup was ever restored to try it, as far as this store knows."
    outcome = badge("ok" if last.outcome == "success" else "error", last.outcome)
    return format_html(
        "{} {}", time_tag(last.drilled_at), outcome
    ), f"{last.backup}, by {last.drilled_by}. {last.note}".strip()
