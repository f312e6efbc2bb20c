"""completeness: of each writer, what can be said about what never came, and what cannot."""

from collections import defaultdict
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Count, Q, Sum

from audit import rhythm
from audit.models import OWN_WRITER, Expectation, Followed, Gap, Numbering, Rhythm, Unmet


class Standing(NamedTuple):
    """What is known of one writer."""

    writer: str
    events: int
    numbered: int
    """How many of them carry a number."""
    missing: int
    """Numbers that never came, and that nobody has explained."""
    explained: int
    """Numbers that never came, and why."""
    reused: int
    """Events whose number another event had before."""
    open_gaps: int
    first_at: datetime
    last_at: datetime
    silent_since: datetime | None

    @property
    def verdict(self) -> str:
        """In one word."""
        if self.missing or self.reused:
            return "incomplete"
        if not self.numbered:
            return "not covered"
        return "silent" if self.silent_since else "partly covered" if self.numbered < self.events else "complete"

    @property
    def not_covered(self) -> str:
        """What cannot be seen of this writer, in words; "" where nothing is left out."""
        if not self.numbered:
            return "It sends no source_seq: what it never sent cannot be seen, only that it falls silent."
        if (bare := self.events - self.numbered) > 0:
            return f"{bare:,} of its events carry no source_seq: others like them may be missing unseen."
        return ""


class Expected(NamedTuple):
    """What the rules about events that must come have found."""

    in_force: int = 0
    unmet: int = 0
    """Not met, and nobody has explained it."""
    explained: int = 0
    """Not met, and why."""


class Completeness(NamedTuple):
    """What is known of all."""

    standings: list[Standing]
    since: datetime | None
    until: datetime | None
    """When the log was last read to its end."""
    expected: Expected = Expected()

    @property
    def whole(self) -> bool:
        """Whether nothing is missing, of what can be seen."""
        lacking = any(one.missing or one.reused or one.silent_since for one in self.standings)
        return not lacking and not self.expected.unmet

    @property
    def sentence(self) -> str:
        """What an auditor wants to read first."""
        if self.since is None or self.until is None or not self.standings:
            return "Nothing can be said yet: no events are sealed, or `manage.py reconcile` never ran."
        covered = [one for one in self.standings if one.numbered]
        whole = [one for one in covered if one.verdict not in ("incomplete",)]
        times = f"from {self.since:%Y-%m-%d %H:%M} to {self.until:%Y-%m-%d %H:%M} UTC"
        parts = [f"Complete {times} for {len(whole)} of {_many(len(covered), 'writer')} with numbered events"]
        if covered and len(whole) < len(covered):
            missing = sum(one.missing for one in covered)
            parts.append(f"{_many(missing, 'event')} of {_many(len(covered) - len(whole), 'writer')} never came")
        if bare := len(self.standings) - len(covered):
            parts.append(f"{_many(bare, 'writer')} without numbers: what they never sent cannot be seen")
        if silent := sum(one.silent_since is not None for one in self.standings):
            parts.append(f"{_many(silent, 'writer')} silent for longer than usual")
        if self.expected.unmet:
            rules = _many(self.expected.in_force, "rule")
            parts.append(f"{_many(self.expected.unmet, 'expectation')} not met, of {rules} in force")
        return "; ".join(parts) + "."


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def look() -> Completeness:
    """What is known now."""
    numbers = _numbers()
    gaps = _gaps()
    silences = {one.writer: one.since for one in rhythm.silent()}
    standings = [
        Standing(
            writer=one.writer,
            events=one.events,
            numbered=numbers[one.writer]["events"],
            reused=numbers[one.writer]["reused"],
            first_at=one.first_at,
            last_at=one.last_at,
            silent_since=silences.get(one.writer),
            **gaps.get(one.writer, {"missing": 0, "explained": 0, "open_gaps": 0}),
        )
        for one in Rhythm.objects.exclude(writer=OWN_WRITER).order_by("writer")
    ]
    until = Followed.objects.filter(name=Followed.COMPLETENESS).values_list("followed_at", flat=True).first()
    since = min((one.first_at for one in standings), default=None)
    return Completeness(standings, since, until, _expected())


def _expected() -> Expected:
    found = Unmet.objects.filter(closed_at=None).order_by()
    counts = found.aggregate(
        unmet=Count("pk", filter=Q(explained_at=None)), explained=Count("pk", filter=Q(explained_at__isnull=False))
    )
    return Expected(in_force=Expectation.objects.filter(active=True).count(), **counts)


def _numbers() -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = defaultdict(lambda: {"events": 0, "reused": 0})
    for row in Numbering.objects.values("writer").annotate(count=Sum("events"), again=Sum("reused")):
        found[row["writer"]] = {"events": row["count"], "reused": row["again"]}
    return found


def _gaps() -> dict[str, dict[str, Any]]:
    bare, told = Q(explained_at=None), Q(explained_at__isnull=False)
    rows = (
        Gap.objects.filter(closed_at=None)
        .order_by()
        .values("numbering__writer")
        .annotate(lost=Sum("missing", filter=bare), known=Sum("missing", filter=told), count=Count("pk", filter=bare))
    )
    return {
        row["numbering__writer"]: {
            "missing": row["lost"] or 0,
            "explained": row["known"] or 0,
            "open_gaps": row["count"],
        }
        for row in rows
    }
