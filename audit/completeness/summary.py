"""completeness: of each writer, what can be said about what never came, and what cannot."""

from collections import defaultdict
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Count, Q, Sum

from audit import visibility
from audit.completeness import silence
from audit.models import OWN_WRITER, Expectation, Followed, Gap, Manifest, Numbering, Rhythm, Unmet


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
    first_at: datetime | None
    last_at: datetime | None
    """None where nothing of it ever came."""
    silent_since: datetime | None
    manifests: int
    """Statements of what it made."""
    short_manifests: int
    """How many of them name events that never came, unexplained."""

    @property
    def is_covered(self) -> bool:
        """Whether it says which events it made."""
        return bool(self.numbered or self.missing or self.explained or self.manifests)

    @property
    def verdict(self) -> str:
        """In one word."""
        if self.missing or self.reused or self.short_manifests:
            return "incomplete"
        if not self.numbered and self.manifests:
            return "covered by manifests"
        if not self.numbered:
            return "not covered"
        return "silent" if self.silent_since else "partly covered" if self.numbered < self.events else "complete"

    @property
    def not_covered(self) -> str:
        """What cannot be seen of this writer, in words; "" where nothing is left out."""
        if not self.numbered and self.manifests:
            return "It sends no source_seq: outside the windows of its manifests, what it never sent cannot be seen."
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
    """All that was stored before then is read."""
    expected: Expected = Expected()

    @property
    def whole(self) -> bool:
        """Whether nothing is missing, of what can be seen."""
        lacking = any(one.verdict == "incomplete" or one.silent_since for one in self.standings)
        return not lacking and not self.expected.unmet

    @property
    def sentence(self) -> str:
        """What an auditor wants to read first."""
        if self.since is None or self.until is None or not self.standings:
            return "Nothing can be said yet: no events are sealed, or the schedule has not looked yet."
        covered = [one for one in self.standings if one.is_covered]
        whole = [one for one in covered if one.verdict != "incomplete"]
        times = f"from {self.since:%Y-%m-%d %H:%M} to {self.until:%Y-%m-%d %H:%M} UTC"
        parts = [f"Complete {times} for {len(whole)} of {_many(len(covered), 'writer')} with numbers or manifests"]
        if covered and len(whole) < len(covered):
            lost = f"{_many(sum(one.missing for one in covered), 'numbered event')} never came"
            short = sum(one.short_manifests for one in covered)
            parts.append(lost + (f" and {_many(short, 'manifest')} did not agree" if short else ""))
            parts[-1] += f", of {_many(len(covered) - len(whole), 'writer')}"
        parts += self._reservations
        if bare := len(self.standings) - len(covered):
            parts.append(f"{_many(bare, 'writer')} without either: what they never sent cannot be seen")
        if silent := sum(one.silent_since is not None for one in self.standings):
            parts.append(f"{_many(silent, 'writer')} silent for longer than usual")
        if self.expected.unmet:
            rules = _many(self.expected.in_force, "rule")
            parts.append(f"{_many(self.expected.unmet, 'expectation')} not met, of {rules} in force")
        return "; ".join(parts) + "."

    @property
    def _reservations(self) -> list[str]:
        """What "complete" leaves out of the writers that it is said of."""
        again, told = (sum(getattr(one, name) for one in self.standings) for name in ("reused", "explained"))
        partly = sum(0 < one.numbered < one.events for one in self.standings)
        parts = [f"{_many(again, 'event')} with a number that another had"] if again else []
        parts += [f"{_many(told, 'numbered event')} never came, with an explanation"] if told else []
        return parts + ([f"{_many(partly, 'writer')} with events without a number"] if partly else [])


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def look() -> Completeness:
    """What is known now."""
    numbers = _numbers()
    gaps = _gaps()
    stated = _manifests()
    silences = {one.writer: one.since for one in silence.silent()}
    heard = {one.writer: one for one in Rhythm.objects.exclude(writer=OWN_WRITER)}
    standings = [
        Standing(
            writer=writer,
            events=one.events if one else 0,
            numbered=numbers[writer]["events"],
            reused=numbers[writer]["reused"],
            first_at=one.first_at if one else None,
            last_at=one.last_at if one else None,
            silent_since=silences.get(writer),
            manifests=stated[writer]["all"],
            short_manifests=stated[writer]["open"],
            **gaps.get(writer, {"missing": 0, "explained": 0, "open_gaps": 0}),
        )
        for writer, one in ((name, heard.get(name)) for name in sorted({*heard, *numbers, *gaps, *stated}))
        if visibility.may_see_totals(writer)
    ]
    until = Followed.objects.filter(name=Followed.COMPLETENESS).values_list("followed_at", flat=True).first()
    since = min((one.first_at for one in standings if one.first_at), default=None)
    return Completeness(standings, since, until, _expected())


def _expected() -> Expected:
    found = visibility.visible_totals(Unmet.objects.filter(closed_at=None)).order_by()
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


def _manifests() -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = defaultdict(lambda: {"all": 0, "open": 0})
    bare = Q(closed_at=None, explained_at=None)
    for row in Manifest.objects.order_by().values("writer").annotate(count=Count("pk"), bad=Count("pk", filter=bare)):
        found[row["writer"]] = {"all": row["count"], "open": row["bad"]}
    return found
