"""exception_report: what of a UTC day a person has to look at.

By the times at which things happened, so that a day that is over stays what it was; only what comes late adds to it.
Most of it is read from records, the store's own ones of what it found and of what people did among them.
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

GRAVE = ("emergency", "alert", "fatal", "critical", "high")
SHOWN = 20
"""So many rows a part has; what is left is one row more."""
REST = "all others"
SECONDS = 20.0
LOGINS = ("audit.person.login_refused", "audit.person.login_locked")
COMING_AND_GOING = ("audit.person.logged_in", "audit.person.logged_out")
CHANGES = ("audit.person.", "audit.group.", "audit.scope.", "audit.writer.", "audit.sealkey.", "audit.receiptkey.")
OF_THE_STORE = {
    "alarms": "What the store found or refused",
    "logins": "Logins that failed or were locked out",
    "changes": "Changes of people, groups, scopes, writers and keys",
    "acts": "What else people and the store did",
}
"""The store's own records of a day, in four parts; the last is told, and no exception."""
FINDINGS: dict[str, type[Discrepancy]] = {
    "gaps in the numbers of writers": Gap,
    "manifests that do not agree": Manifest,
    "expectations that are not met": Unmet,
    "broken promises": BrokenPromise,
    "missed reviews": MissedReview,
}


class Row(NamedTuple):
    """How often something happened, and the search that finds it, where one does."""

    what: str
    times: int
    query: str = ""


class Part(NamedTuple):
    """Rows of a kind. Where it `weighs`, each is an exception; else it is told, and no more."""

    name: str
    title: str
    rows: list[Row]
    weighs: bool = True

    @property
    def total(self) -> int:
        """All rows together."""
        return sum(row.times for row in self.rows)


class Day(NamedTuple):
    """One day as it is seen now."""

    day: date
    parts: list[Part]

    @property
    def exceptions(self) -> int:
        """How many there are."""
        return sum(part.total for part in self.parts if part.weighs)

    @property
    def document(self) -> dict[str, Any]:
        """What is shown, as it is signed."""
        rows = {part.name: {row.what: row.times for row in part.rows} for part in self.parts}
        return {"day": self.day.isoformat(), "exceptions": self.exceptions, "parts": rows}

    @property
    def digest(self) -> str:
        """SHA-256 of the document's RFC 8785 form."""
        return hashlib.sha256(canonical.canonical(self.document)).hexdigest()

    def came_after(self, signed: dict[str, Any]) -> int:
        """How many exceptions there are now beyond those that somebody signed."""
        before = signed["parts"]
        return sum(
            max(row.times - before.get(part.name, {}).get(row.what, 0), 0)
            for part in self.parts
            if part.weighs
            for row in part.rows
        )


def look(day: date) -> Day:
    """What is known of a day now. Raises `TookTooLong` where it has more than can be counted in `SECONDS`."""
    first, end = times.read_day(day.isoformat())
    with visibility.as_system(), cost.reading(milliseconds=int(SECONDS * 1000)):
        own = _own(first, end)
        parts = [
            *_of_writers(day, first, end),
            *_of_the_store(day, own),
            _new(first, end),
            _open(end),
            _queue(day, first, end),
            Part("rejected", "Events that were refused", _rejected(day)),
            Part("verified", "Verifications that ended", _verified(first, end), weighs=False),
            Part("looked", "Who looked at records, or took them away", _looked(day, first, end), weighs=False),
            Part("account", "The account of the day, as it is recorded", _account(day), weighs=False),
        ]
    visibility.note_read(())  # that the records of a day were gone through is a look at them
    return Day(day, parts)


def _of_writers(day: date, first: datetime, end: datetime) -> list[Part]:
    theirs = Record.objects.filter(event_timestamp__gte=first, event_timestamp__lt=end).exclude(writer=OWN_WRITER)
    failed = _grouped(
        theirs.filter(event_outcome="failure"),
        ("event_type", "writer"),
        lambda kind, writer: _search(day, outcome="failure", type=kind, writer=writer),
    )
    grave = _grouped(
        theirs.filter(severity__in=GRAVE),
        ("severity", "event_type"),
        lambda severity, kind: _search(day, severity=severity, type=kind),
    )
    return [Part("failed", "Actions that failed", failed), Part("grave", "Grave events", grave)]


Own = list[tuple[str, str, int]]


def _own(first: datetime, end: datetime) -> Own:
    """The records of the store itself, by type and outcome, but for those of who looked."""
    found = Record.objects.filter(
        event_category="security", writer=OWN_WRITER, event_timestamp__gte=first, event_timestamp__lt=end
    )
    rows = found.order_by().values_list("event_type", "event_outcome").annotate(count=Count("pk"))
    return [row for row in rows if row[0] not in COMING_AND_GOING]


def _of_the_store(day: date, own: Own) -> list[Part]:
    rows: dict[str, list[Row]] = {name: [] for name in OF_THE_STORE}
    for kind, outcome, count in own:
        rows[_sort(kind, outcome)].append(
            Row(f"{kind}, {outcome}", count, _search(day, type=kind, outcome=outcome, writer=OWN_WRITER))
        )
    return [Part(name, title, _told(rows[name]), name != "acts") for name, title in OF_THE_STORE.items()]


def _sort(kind: str, outcome: str) -> str:
    if kind in LOGINS:
        return "logins"
    if outcome == "failure":
        return "alarms"
    return "changes" if kind.startswith(CHANGES) else "acts"


def _new(first: datetime, end: datetime) -> Part:
    rows = [
        Row(what, kind._default_manager.filter(found_at__gte=first, found_at__lt=end).count())
        for what, kind in FINDINGS.items()
    ]
    seen = Finding.objects.filter(first_seen__gte=first, first_seen__lt=end).order_by()
    rows += [Row(f"verification: {kind}", n) for kind, n in seen.values_list("kind").annotate(count=Count("pk"))]
    return Part("found", "Findings that are new", _told(rows))


def _open(end: datetime) -> Part:
    """As it was at the end of the day, whatever became of it since."""
    still = Q(closed_at=None) | Q(closed_at__gte=end)
    bare = Q(explained_at=None) | Q(explained_at__gte=end)
    rows = [
        Row(what, kind._default_manager.filter(still, bare, found_at__lt=end).count())
        for what, kind in FINDINGS.items()
    ]
    return Part("open", "Findings that were open at the end of the day", _told(rows))


def _queue(day: date, first: datetime, end: datetime) -> Part:
    outages = Episode.objects.filter(Q(emptied_at=None) | Q(emptied_at__gte=first), began_at__lt=end)
    asked = Discard.objects.filter(asked_at__gte=first, asked_at__lt=end)
    aside = Quarantined.objects.filter(quarantined_at__gte=first, quarantined_at__lt=end)
    counts = _figures(day)
    rows = [
        Row("outages during which events were parked", outages.count()),
        Row("events put into the quarantine", aside.count()),
        Row("discards that were asked for", asked.count()),
        *(
            Row(f"events of the day: {name}", counts[name])
            for name in ("dead", "lost", "unexplained")
            if name in counts
        ),
    ]
    return Part("queue", "The dead letter queue", _told(rows))


def _rejected(day: date) -> list[Row]:
    found = Rejection.objects.filter(day=day).order_by().values_list("reason").annotate(count=Sum("events"))
    return _told(Row(reason, count) for reason, count in found)


def _verified(first: datetime, end: datetime) -> list[Row]:
    found = Verification.objects.filter(ended_at__gte=first, ended_at__lt=end).order_by()
    return _told(Row(verdict, count) for verdict, count in found.values_list("verdict").annotate(count=Count("pk")))


def _looked(day: date, first: datetime, end: datetime) -> list[Row]:
    looks = Record.objects.filter(
        event_category=ACCESS, writer=OWN_WRITER, event_timestamp__gte=first, event_timestamp__lt=end
    )
    return _grouped(looks, ("event_action", "actor_id"), lambda act, actor: _search(day, category=ACCESS, actor=actor))


def _account(day: date) -> list[Row]:
    return [Row(name, count) for name, count in _figures(day).items() if count]


def _figures(day: date) -> dict[str, int]:
    """The sums of what was recorded last of the day; empty while nothing is. Counts that disagree never cancel out."""
    found: dict[str, int] = {}
    for line in daily.figures(day).values():
        for name, count in line.items():
            found[name] = found.get(name, 0) + abs(count)
    return found


def _grouped(rows: QuerySet[Any], columns: tuple[str, ...], query: Callable[..., str]) -> list[Row]:
    found = rows.order_by().values_list(*columns).annotate(count=Count("pk"))
    return _told(Row(", ".join(names), count, query(*names)) for *names, count in found)


def _search(day: date, **asked: str) -> str:
    found = Query()
    for field, value in (asked | {"on": day.isoformat()}).items():
        found = found.with_term(field, value)
    return str(found)


def _told(rows: Iterable[Row]) -> list[Row]:
    """What happened at all, the most frequent first; beyond so many rows the rest together."""
    found = sorted((row for row in rows if row.times), key=lambda row: (-row.times, row.what))
    rest = sum(row.times for row in found[SHOWN:])
    return found[:SHOWN] + ([Row(REST, rest)] if rest else [])
