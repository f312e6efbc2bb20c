"""exception_report: what a person has to look at of a UTC day.

Rows are chosen by the time at which things happened, so a past day stays what it was; only late events add to it. Most
is read from records, among them the store's own of what it found and of what people did.
"""

import hashlib
from collections.abc import Callable, Iterable
from datetime import date, datetime
from typing import Any, NamedTuple

from django.db.models import Count, Q, QuerySet, Sum

from audit import visibility
from audit.accounting import daily
from audit.formats import canonical, times
from audit.formats.grammar import Query
from audit.ingest import rejections
from audit.models import (
    ACCESS,
    OWN_WRITER,
    BrokenPromise,
    Discard,
    Discrepancy,
    Episode,
    Finding,
    Gap,
    Manifest,
    MissedReview,
    Quarantined,
    Record,
    Rejection,
    Unmet,
    Verification,
)
from audit.search import cost

GRAVE_SEVERITIES = ("emergency", "alert", "fatal", "critical", "high")
# Rows of a group; the rest are summed in a last row.
MAX_ROWS = 20
REST = "all others"
TIMEOUT_S = 20.0
CONFLICT_RECORD = "audit.event.conflict"
LOGIN_FAILURES = ("audit.person.login_refused", "audit.person.login_locked")
# Not reported: they are on the pages about access.
LOGINS_AND_LOGOUTS = ("audit.person.logged_in", "audit.person.logged_out")
CHANGES = ("audit.person.", "audit.group.", "audit.scope.", "audit.writer.", "audit.sealkey.", "audit.receiptkey.")
# Groups whose rows are no exceptions, and of which a reviewer says nothing.
INFORMATIONAL = ("acts", "verified", "looked", "account")
# The groups of the store's own records.
STORE_GROUPS = {
    "alarms": "What the store detected or refused",
    "logins": "Logins that failed or were locked out",
    "changes": "Changes of people, groups, scopes, writers and keys",
    "acts": "What else people and the store did",
}
FINDINGS: dict[str, type[Discrepancy]] = {
    "gaps in the numbers of writers": Gap,
    "manifests that do not agree": Manifest,
    "expectations that are not met": Unmet,
    "broken promises": BrokenPromise,
    "missed reviews": MissedReview,
}
# Alarms about these findings: the findings are counted, so what tells of them is not.
FINDING_ALARMS = (
    *(f"audit.{model.NOUN}.found" for model in FINDINGS.values()),
    *("audit.expectation.unmet", "audit.receipt.broken", "audit.review.missed"),
)


class ExceptionRow(NamedTuple):
    """How often something happened, and the search that finds it; empty where no search does."""

    label: str
    times: int
    query: str = ""


class ExceptionGroup(NamedTuple):
    """Rows of a kind."""

    name: str
    title: str
    rows: list[ExceptionRow]

    @property
    def counts(self) -> bool:
        """Whether the rows count as exceptions."""
        return self.name not in INFORMATIONAL

    @property
    def total(self) -> int:
        return sum(row.times for row in self.rows)


class ExceptionReport(NamedTuple):
    """`twice`: how many exceptions are in the rows of two groups."""

    day: date
    groups: list[ExceptionGroup]
    twice: int = 0

    @property
    def exceptions(self) -> int:
        """How many there are, each counted once."""
        return sum(group.total for group in self.groups if group.counts) - self.twice

    @property
    def document(self) -> dict[str, Any]:
        """What is shown, in the form that is signed."""
        groups = {group.name: {row.label: row.times for row in group.rows} for group in self.groups}
        return {"day": self.day.isoformat(), "exceptions": self.exceptions, "parts": groups}

    @property
    def digest(self) -> str:
        """SHA-256 of the document in RFC 8785."""
        return hashlib.sha256(canonical.canonical(self.document)).hexdigest()

    def added_since(self, signed: dict[str, Any]) -> int:
        """How many exceptions there are beyond those in a document that was signed."""
        before = signed["parts"]
        return sum(
            max(row.times - before.get(group.name, {}).get(row.label, 0), 0)
            for group in self.groups
            if group.counts
            for row in group.rows
        )


def exception_report(day: date) -> ExceptionReport:
    """Raises `TookTooLong` where the day has more than can be counted in TIMEOUT_S."""
    first, end = times.read_day(day.isoformat())
    with visibility.as_system(), cost.reading(milliseconds=int(TIMEOUT_S * 1000)):
        groups = [
            *_writers_groups(day, first, end),
            *_store_groups(day, first, end),
            _new_findings(first, end),
            _older_findings(first, end),
            _queue(day, first, end),
            ExceptionGroup("rejected", "Rejected events", _rejected(day)),
            ExceptionGroup("verified", "Verifications that ended", _verified(first, end)),
            ExceptionGroup("looked", "Who viewed or exported records", _access(day, first, end)),
            ExceptionGroup("account", "The account of the day, as it is recorded", _account(day)),
        ]
        twice = _in_two_groups(day, first, end)
    visibility.note_read(())  # reading the day's records is access to them, though none is named
    return ExceptionReport(day, groups, twice)


def _in_two_groups(day: date, first: datetime, end: datetime) -> int:
    """Count grave events that failed too, and conflicts: each is recorded, and counted as refused."""
    records = Record.objects.filter(event_timestamp__gte=first, event_timestamp__lt=end, event_outcome="failure")
    grave = records.filter(severity__in=GRAVE_SEVERITIES).exclude(writer=OWN_WRITER).count()
    recorded = records.filter(event_category="security", writer=OWN_WRITER, event_type=CONFLICT_RECORD).count()
    refused = Rejection.objects.filter(day=day, reason=rejections.CONFLICT).aggregate(count=Sum("events"))["count"]
    return grave + min(recorded, refused or 0)


def _writers_groups(day: date, first: datetime, end: datetime) -> list[ExceptionGroup]:
    events = Record.objects.filter(event_timestamp__gte=first, event_timestamp__lt=end).exclude(writer=OWN_WRITER)
    failed = _grouped(
        events.filter(event_outcome="failure"),
        ("event_type", "writer"),
        lambda event_type, writer: _search(day, outcome="failure", type=event_type, writer=writer),
    )
    grave = _grouped(
        events.filter(severity__in=GRAVE_SEVERITIES),
        ("severity", "event_type"),
        lambda severity, event_type: _search(day, severity=severity, type=event_type),
    )
    return [
        ExceptionGroup("failed", "Actions that failed", failed),
        ExceptionGroup("grave", "High-severity events", grave),
    ]


def _store_groups(day: date, first: datetime, end: datetime) -> list[ExceptionGroup]:
    """The store's own records by type and outcome, without access records, logins and logouts."""
    own = Record.objects.filter(
        event_category="security", writer=OWN_WRITER, event_timestamp__gte=first, event_timestamp__lt=end
    ).exclude(event_type__in=LOGINS_AND_LOGOUTS)
    rows: dict[str, list[ExceptionRow]] = {name: [] for name in STORE_GROUPS}
    counts = own.order_by().values_list("event_type", "event_outcome").annotate(count=Count("pk"))
    for event_type, outcome, count in counts:
        query = _search(day, type=event_type, outcome=outcome, writer=OWN_WRITER)
        rows[_store_group(event_type, outcome)].append(ExceptionRow(f"{event_type}, {outcome}", count, query))
    return [ExceptionGroup(name, title, _ranked(rows[name])) for name, title in STORE_GROUPS.items()]


def _store_group(event_type: str, outcome: str) -> str:
    if event_type in LOGIN_FAILURES:
        return "logins"
    if outcome == "failure" and event_type not in FINDING_ALARMS:
        return "alarms"
    return "changes" if event_type.startswith(CHANGES) else "acts"


def _new_findings(first: datetime, end: datetime) -> ExceptionGroup:
    rows = [
        ExceptionRow(
            label, model._default_manager.filter(_is_finding(model, end), found_at__gte=first, found_at__lt=end).count()
        )
        for label, model in FINDINGS.items()
    ]
    findings = Finding.objects.filter(first_seen__gte=first, first_seen__lt=end).order_by()
    kinds = findings.values_list("kind").annotate(count=Count("pk"))
    rows += [ExceptionRow(f"verification: {kind}", count) for kind, count in kinds]
    return ExceptionGroup("found", "New findings", _ranked(rows))


def _is_finding(model: type[Discrepancy], end: datetime) -> Q:
    """What makes a row a finding of its day: a manifest is a row also where it agrees, which closes it."""
    return Q(closed_at=None) | Q(closed_at__gte=end) if model is Manifest else Q()


def _older_findings(first: datetime, end: datetime) -> ExceptionGroup:
    """As they were at the end of the day, whatever became of them since; those of the day itself are new."""
    rows = [ExceptionRow(label, _open_at(model, first, end)) for label, model in FINDINGS.items()]
    return ExceptionGroup("open", "Findings of earlier days, still open at the end of the day", _ranked(rows))


def _open_at(model: type[Discrepancy], first: datetime, end: datetime) -> int:
    """Count what was found before `first`, and by `end` neither closed nor explained.

    It is open still, was explained since, or was closed since: each by an index of its own, that of migration 0080 or
    0099, so that nothing is read of what ended before; by one statement, so that each is counted once.
    """
    rows = model._default_manager.filter(found_at__lt=first).order_by().values("found_at")
    not_closed = rows.filter(closed_at=None)
    still, explained = not_closed.filter(explained_at=None), not_closed.filter(explained_at__gte=end)
    closed = rows.filter(Q(explained_at=None) | Q(explained_at__gte=end), closed_at__gte=end)
    return still.union(explained, closed, all=True).count()


def _queue(day: date, first: datetime, end: datetime) -> ExceptionGroup:
    outages = Episode.objects.filter(Q(emptied_at=None) | Q(emptied_at__gte=first), began_at__lt=end)
    discards = Discard.objects.filter(asked_at__gte=first, asked_at__lt=end)
    quarantined = Quarantined.objects.filter(quarantined_at__gte=first, quarantined_at__lt=end)
    sums = _account_sums(day)
    rows = [
        ExceptionRow("outages during which events were parked", outages.count()),
        ExceptionRow("events put into the quarantine", quarantined.count()),
        ExceptionRow("discards that were requested", discards.count()),
    ]
    rows += [ExceptionRow(f"events of the day: {name}", sums.get(name, 0)) for name in ("dead", "lost", "unexplained")]
    return ExceptionGroup("queue", "The dead letter queue", _ranked(rows))


def _rejected(day: date) -> list[ExceptionRow]:
    counts = Rejection.objects.filter(day=day).order_by().values_list("reason").annotate(count=Sum("events"))
    return _ranked(ExceptionRow(reason, count) for reason, count in counts)


def _verified(first: datetime, end: datetime) -> list[ExceptionRow]:
    runs = Verification.objects.filter(ended_at__gte=first, ended_at__lt=end).order_by()
    counts = runs.values_list("verdict").annotate(count=Count("pk"))
    return _ranked(ExceptionRow(verdict, count) for verdict, count in counts)


def _access(day: date, first: datetime, end: datetime) -> list[ExceptionRow]:
    looks = Record.objects.filter(
        event_category=ACCESS, writer=OWN_WRITER, event_timestamp__gte=first, event_timestamp__lt=end
    )
    return _grouped(looks, ("event_action", "actor_id"), lambda act, actor: _search(day, category=ACCESS, actor=actor))


def _account(day: date) -> list[ExceptionRow]:
    return [ExceptionRow(name, count) for name, count in _account_sums(day).items() if count]


def _account_sums(day: date) -> dict[str, int]:
    """Sums over the writers of the day's recorded account; empty before it is recorded.

    Absolute values: a surplus of one writer must not cancel out what another one lacks.
    """
    sums: dict[str, int] = {}
    for line in daily.figures(day).values():
        for name, count in line.items():
            sums[name] = sums.get(name, 0) + abs(count)
    return sums


def _grouped(records: QuerySet[Any], columns: tuple[str, ...], query: Callable[..., str]) -> list[ExceptionRow]:
    counts = records.order_by().values_list(*columns).annotate(count=Count("pk"))
    return _ranked(ExceptionRow(", ".join(names), count, query(*names)) for *names, count in counts)


def _search(day: date, **terms: str) -> str:
    query = Query()
    for field, value in (terms | {"on": day.isoformat()}).items():
        query = query.with_term(field, value)
    return str(query)


def _ranked(rows: Iterable[ExceptionRow]) -> list[ExceptionRow]:
    """Without zeros, the most frequent first, at most MAX_ROWS and one of the rest."""
    ranked = sorted((row for row in rows if row.times), key=lambda row: (-row.times, row.label))
    rest = sum(row.times for row in ranked[MAX_ROWS:])
    return ranked[:MAX_ROWS] + ([ExceptionRow(REST, rest)] if rest else [])
