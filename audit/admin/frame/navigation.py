"""The rail at the left of every page: where a person may go, where they are, and how much is open there."""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

import dlq.stream
from audit import visibility
from audit.access.outage.person import KnownPerson
from audit.admin.frame import my_tasks
from audit.admin.queue import progress
from audit.completeness import findings
from audit.models import Discard, Finding, RightsRequest
from audit.review import signoff
from audit.search import saved_views
from dlq.errors import Refused

# What is open is counted so far, and no further: the rail is on every page.
COUNTED = 99
SAVED_SHOWN = 6
# A process counts for a person once in so many seconds, and for so many people: a rail must not cost what a page does.
KEPT_S, KEPT_PEOPLE = 5.0, 1_000
OVERVIEW, TASKS = "Overview", "My tasks"
# Each section with the models whose lists are its pages. The first that a person may see is where the section leads.
SECTIONS: Mapping[str, tuple[str, ...]] = {
    "Records": ("audit.record",),
    "Access log": ("audit.access",),
    "Completeness": (
        *("audit.gap", "audit.account", "audit.hourcount", "audit.manifest", "audit.unmet"),
        *("audit.brokenpromise", "audit.rejectedsample"),
    ),
    "Integrity": ("audit.checkpoint", "audit.verification", "audit.finding", "audit.stream"),
    "Dead letter queue": ("audit.parked", "audit.quarantined", "audit.discard"),
    "Outages": ("audit.episode",),
    "Reviews": ("audit.review", "audit.missedreview"),
    "Reports": ("audit.report",),
    "Retention": ("audit.retentionrequest", "audit.legalhold", "audit.erasurerequest", "audit.erasurerule"),
    "Evidence": (*("audit.export", "audit.statement", "audit.archive", "audit.archivedrecord", "audit.redactionrule"),),
    "Settings": (
        *(
            "audit.writer",
            "audit.eventschema",
            "audit.importmapping",
            "audit.expectation",
            "audit.waiver",
            "auth.user",
            "auth.group",
            "audit.rightsrequest",
        ),
        *("audit.auditorscope", "django_q.schedule", "django_q.success", "django_q.failure", "django_q.ormq"),
    ),
}
# Names of pages where that of the model would say less.
NAMES = {
    "audit.record": "Search",
    "audit.gap": "Summary",
    "audit.access": "Access log",
    "audit.account": "Reconciliation",
    "audit.hourcount": "Activity by writer",
    "audit.checkpoint": "Sealed log",
    "audit.parked": "Queue",
    "audit.quarantined": "Quarantine",
    "audit.review": "Daily reviews",
    "audit.expectation": "Expectations",
    "audit.waiver": "Waivers",
    "audit.eventschema": "Schemas",
    "audit.rightsrequest": "Requests for rights",
    "audit.rejectedsample": "Rejected events",
    "audit.erasurerequest": "Erasures",
    "audit.erasurerule": "Rules of erasure",
    "audit.retentionrequest": "Floors and purges",
    "auth.user": "People",
    "auth.group": "Roles",
}


class Page(NamedTuple):
    """A page of a section; `alarm` says of a saved search that one is on it ("on"), or that it is stuck ("stuck")."""

    name: str
    url: str
    is_current: bool
    alarm: str = ""


class Section(NamedTuple):
    """One entry of the rail. `pages` are shown while one of them is open; `level` is warning, error or ""."""

    name: str
    url: str
    is_current: bool
    number: str = ""
    level: str = ""
    # What the number counts, in words.
    counted: str = ""
    pages: tuple[Page, ...] = ()


class Open(NamedTuple):
    """How much is open in a section, and how bad that is."""

    number: int
    counted: str
    level: str = "warning"


_kept: dict[Any, tuple[float, Mapping[str, Open]]] = {}


def rail(request: HttpRequest) -> list[Section]:
    """Return the sections that this person may see."""
    here = _here(request)
    opened: Mapping[str, Open] = {}
    sections = []
    if not isinstance(request.user, KnownPerson):  # in an outage there are no counts, and only the queue opens
        opened = _kept_open(request.user, is_told=len(messages.get_messages(request)) > 0)
        sections.append(Section(OVERVIEW, reverse("admin:index"), here == "index"))
        sections.append(_section(Section(TASKS, reverse("admin:tasks"), here == "tasks"), opened))
    for name, labels in SECTIONS.items():
        pages = tuple(page for label in labels if (page := _page(request, label, here)) is not None)
        if not pages:
            continue
        current = any(page.is_current for page in pages)
        if name == "Records" and current:
            saved = _saved(request, here)
            pages = (pages[0]._replace(is_current=not saved[0].is_current), *pages[1:], *saved)
        shown = pages if current and len(pages) > 1 else ()
        sections.append(_section(Section(name, pages[0].url, current, pages=shown), opened))
    return sections


def _section(section: Section, opened: Mapping[str, Open]) -> Section:
    """The section with its number, where something is open in it."""
    found = opened.get(section.name)
    if found is None or not found.number:
        return section
    return section._replace(number=_text(found.number), level=found.level, counted=found.counted)


def _kept_open(user: Any, *, is_told: bool) -> Mapping[str, Open]:
    """What is open as it was some seconds ago; as it is now on a page that tells them what they have just done."""
    now = time.monotonic()
    kept = _kept.get(user.pk)
    if is_told or kept is None or now - kept[0] > KEPT_S:
        if len(_kept) >= KEPT_PEOPLE:
            _kept.clear()
        kept = _kept[user.pk] = (now, _open(user) | _own(user))
    return kept[1]


def paused(user: Any) -> tuple[str, Any] | None:
    """Return who paused the queue and since when, for those who may see the queue."""
    if not user.has_perm("audit.view_parked"):
        return None
    try:
        return dlq.stream.default().activity.paused()
    except Refused:
        return None


def away(user: Any) -> str:
    """Return what happens to the queue, in one sentence, for whoever reads it while PostgreSQL is away; else ""."""
    if not isinstance(user, KnownPerson):
        return ""
    try:
        return progress.sentence(dlq.stream.for_drain(), database_up=False)
    except Refused:
        return "Neither PostgreSQL nor Redis answers."


def _saved(request: HttpRequest, here: str) -> tuple[Page, ...]:
    """The person's saved searches, as pages of the records, and the page of all of them."""
    place, asked = reverse("admin:audit_record_changelist"), request.GET.get("q")
    whole = Page("Saved searches", reverse("admin:audit_record_saved"), here == "audit_record_saved")
    views = saved_views.visible_to(request.user)[:SAVED_SHOWN]
    return whole, *(
        Page(view.name, f"{place}?{urlencode({'q': view.query})}", view.query == asked, _alarm(view, request.user))
        for view in views
    )


def _alarm(view: Any, user: Any) -> str:
    alarm = getattr(view, "alarm", None) if view.owner == user.get_username() else None
    return "" if alarm is None else "stuck" if alarm.problem else "on"


def _here(request: HttpRequest) -> str:
    """Return the name of the page that is open, such as `audit_record_change`."""
    match = request.resolver_match
    return (match.url_name or "") if match is not None else ""


def name_of(options: Any) -> str:
    """Return what the list of a model is called, by its `_meta`: in the rail, and above it."""
    return NAMES.get(options.label_lower) or str(options.verbose_name_plural).capitalize()


def _page(request: HttpRequest, label: str, here: str) -> Page | None:
    app, model = label.split(".")
    entry = next((own for kind, own in admin.site._registry.items() if kind._meta.label_lower == label), None)
    if entry is None or not entry.has_view_permission(request):
        return None
    try:
        url = reverse(f"admin:{app}_{model}_changelist")
    except NoReverseMatch:
        return None
    return Page(name_of(entry.opts), url, here.startswith(f"{app}_{model}_"))


def _own(user: Any) -> dict[str, Open]:
    """Return what is counted as this person sees it."""
    own = {TASKS: Open(my_tasks.count(user), "tasks that wait for you")}
    if user.has_perm("audit.view_gap"):
        own["Completeness"] = Open(findings.how_many(), findings.COUNTED, "error")
    return own


@visibility.as_system()
def _open(user: Any) -> dict[str, Open]:
    """Return what is open in each section that this person may see; reading it is no access to records."""
    ways: dict[str, tuple[str, Callable[[], Open]]] = {
        "Integrity": ("audit.view_finding", _found),
        "Dead letter queue": ("audit.view_parked", _queue),
        "Reviews": ("audit.view_review", _reviews),
        "Settings": ("audit.approve_rights", _rights),
    }
    return {name: way() for name, (permission, way) in ways.items() if user.has_perm(permission)}


def _found() -> Open:
    return Open(_few(Finding.objects.still_so()), "findings of verifications that are still so", "error")


def _rights() -> Open:
    return Open(_few(RightsRequest.objects.filter(decision="")), "requests for rights that nobody has decided")


def _queue() -> Open:
    try:
        stats = dlq.stream.default().totals.stats()
    except Refused:
        return Open(0, "")
    level = "error" if stats.dead else "warning"
    if stats.depth:
        return Open(stats.depth, "parked events, dead ones among them", level)
    return Open(_few(Discard.objects.filter(decision="")), "requests to discard that nobody has decided", level)


def _reviews() -> Open:
    days = signoff.waiting()
    return Open(days.due + days.missed, "days to review, missed ones among them", "error" if days.missed else "warning")


def _few(rows: QuerySet[Any]) -> int:
    return rows.order_by()[: COUNTED + 1].count()


def _text(count: int) -> str:
    return f"{COUNTED}+" if count > COUNTED else str(count)
