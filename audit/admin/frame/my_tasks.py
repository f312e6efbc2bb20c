"""What waits for the person who is logged in: to be decided, reviewed or explained by them, or fetched."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from audit import visibility
from audit.access import rights
from audit.admin.display import time_tag
from audit.evidence.erasure import requests
from audit.models import (
    BrokenPromise,
    Discard,
    ErasureRequest,
    Export,
    Gap,
    LogResume,
    Manifest,
    Report,
    RetentionRequest,
    RightsRequest,
    Unmet,
)
from audit.review import signoff

# Rows of a group that are shown and counted.
SHOWN = 20
FINDINGS: tuple[Any, ...] = (Gap, Manifest, BrokenPromise, Unmet)


class Task(NamedTuple):
    text: str
    url: str
    remark: SafeString | str = ""


class Group(NamedTuple):
    title: str
    tasks: list[Task]


def page(request: HttpRequest) -> HttpResponse:
    groups = [group for group in (*_waiting(request.user), *_ready(request.user)) if group.tasks]
    context = {**admin.site.each_context(request), "title": "My tasks", "groups": groups, "most": SHOWN}
    context["pending"] = pending(request.user)
    return TemplateResponse(request, "admin/tasks.html", context)


def pending(user: Any) -> QuerySet[RightsRequest]:
    """The rights of this person that wait for a second person."""
    return RightsRequest.objects.filter(kind="person", subject=user.get_username(), decision="")


@visibility.as_system()
def count(user: Any) -> int:
    """Return how many tasks wait for this person, of each group up to `SHOWN`; reading it is no access to records."""
    return sum(len(group.tasks) for group in _waiting(user))


def _waiting(user: Any) -> Iterable[Group]:
    name = user.get_username()
    if user.has_perm("audit.approve_discard"):
        yield Group("Discards to approve or decline", [_discard(row) for row in _discards(name)])
    if user.has_perm("audit.approve_logresume"):
        yield Group("The log of a restored store", [_resume(row) for row in _resumes(name)])
    if user.has_perm("audit.decide_erasure"):
        yield Group("Erasures to approve or refuse", [_erasure(row) for row in requests.undecided(name)[:SHOWN]])
    if user.has_perm("audit.approve_rights"):
        waiting = RightsRequest.objects.filter(decision="")[:SHOWN]
        yield Group("Rights to grant or decline", [_right(row) for row in waiting if rights.may_decide(row, user)])
    if user.has_perm("audit.approve_retention"):
        waits = RetentionRequest.objects.filter(decision=None).exclude(asked_by=name)[:SHOWN]
        yield Group("Retention to approve or decline", [_retention(row) for row in waits])
    if user.has_perm("audit.sign_review"):
        yield Group("Daily reviews", _reviews())
    if user.has_perm("audit.view_gap"):
        yield Group("Missing events assigned to you", [task for kind in FINDINGS for task in _findings(kind, name)])


def _ready(user: Any) -> Iterable[Group]:
    """What was made for the person and can be fetched."""
    name = user.get_username()
    if user.has_perm("audit.view_export"):
        own = Export.objects.filter(requested_by=name, by_service=False, state="ready")
        kept = own.filter(expires_at__gt=datetime.now(UTC)).defer("manifest", "volumes")[:SHOWN]
        yield Group("Evidence bundles that are ready", [_job(row, "Evidence bundle") for row in kept])
    if user.has_perm("audit.view_report"):
        reports = Report.objects.filter(requested_by=name, state="ready").defer("content", "beside")[:SHOWN]
        yield Group("Your newest reports", [_job(row, f"Report of {row.first} to {row.last}") for row in reports])


def _discards(name: str) -> QuerySet[Discard]:
    return Discard.objects.filter(decision="").exclude(asked_by=name)[:SHOWN]


def _discard(row: Discard) -> Task:
    remark = format_html("requested by {}, {}: {}", row.asked_by, time_tag(row.asked_at), row.reason)
    return Task(f"Discard of {row.key or row.message_id}", reverse("admin:audit_discard_change", args=[row.pk]), remark)


def _resumes(name: str) -> QuerySet[LogResume]:
    return LogResume.objects.filter(decision="", resumed_at=None).exclude(asked_by=name)[:SHOWN]


def _resume(row: LogResume) -> Task:
    remark = format_html("requested by {}, {}: {}", row.asked_by, time_tag(row.asked_at), row.reason)
    return Task("Let the log go on, or decline", reverse("admin:audit_checkpoint_changelist"), remark)


def _retention(row: RetentionRequest) -> Task:
    remark = format_html("requested by {}, {}: {}", row.asked_by, time_tag(row.asked_at), row.reason)
    url = reverse("admin:audit_retentionrequest_change", args=[row.pk])
    return Task(f"{row.get_kind_display()} {row.pk}".capitalize(), url, remark)


def _erasure(row: ErasureRequest) -> Task:
    remark = format_html("requested by {}, {}: {}", row.asked_by, time_tag(row.asked_at), row.reason)
    return Task(f"Erasure {row.pk}", reverse("admin:audit_erasurerequest_change", args=[row.pk]), remark)


def _right(row: RightsRequest) -> Task:
    remark = format_html("{}; requested by {}, {}", row.words, row.asked_by, time_tag(row.asked_at))
    return Task(f"Rights of {row.subject}", reverse("admin:audit_rightsrequest_change", args=[row.pk]), remark)


def _reviews() -> list[Task]:
    days, url = signoff.waiting(), reverse("admin:audit_review_changelist")
    tasks = [(days.missed, "not reviewed in time"), (days.due, "waiting for review")]
    return [Task(f"{number:,} day{'' if number == 1 else 's'} {text}", url) for number, text in tasks if number]


def _findings(kind: Any, name: str) -> list[Task]:
    model = kind._meta.model_name
    rows = kind.objects.filter(closed_at=None, explained_at=None, owner=name).select_related(*kind.RELATED)
    return [
        Task(f"{kind._meta.verbose_name} {row}".capitalize(), reverse(f"admin:audit_{model}_change", args=[row.pk]))
        for row in rows.defer(*kind.LARGE)[:SHOWN]
    ]


def _job(row: Export | Report, text: str) -> Task:
    url = reverse(f"admin:audit_{row._meta.model_name}_change", args=[row.pk])
    return Task(text, url, format_html("requested {}", time_tag(row.requested_at)))
