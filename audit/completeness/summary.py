"""summary: of each writer, what can be said about what never came, and what cannot."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Count, Min, Q, Sum
from django.db.models.functions import Coalesce

from audit import visibility
from audit.completeness import silence
from audit.models import OWN_WRITER, Expectation, Followed, Gap, Manifest, Numbering, Rhythm, Unmet

OPEN, EXPLAINED = Q(explained_at=None), Q(explained_at__isnull=False)


class WriterSummary(NamedTuple):
    writer: str
    events: int = 0
    # How many of them carry a sequence number.
    numbered: int = 0
    # Numbers that never came, without and with an explanation.
    missing: int = 0
    explained: int = 0
    # Events whose number another event had before.
    reused: int = 0
    open_gaps: int = 0
    # None where nothing of the writer ever came.
    first_at: datetime | None = None
    last_at: datetime | None = None
    silent_since: datetime | None = None
    manifests: int = 0
    # Manifests that name events that never came, unexplained.
    short_manifests: int = 0

    @property
    def is_covered(self) -> bool:
        """Whether it says which events it made."""
        return bool(self.numbered or self.missing or self.explained or self.manifests)

    @property
    def verdict(self) -> str:
        if self.missing or self.reused or self.short_manifests:
            return "incomplete"
        if not self.numbered:
            return "covered by manifests" if self.manifests else "not covered"
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
    in_force: int = 0
    # Not met, without and with an explanation.
    unmet: int = 0
    explained: int = 0


class Completeness(NamedTuple):
    writers: list[WriterSummary]
    since: datetime | None
    # All that was stored before then is read.
    until: datetime | None
    expected: Expected = Expected()

    @property
    def whole(self) -> bool:
        """Whether nothing is missing, of what can be seen."""
        lacking = any(writer.verdict == "incomplete" or writer.silent_since for writer in self.writers)
        return not lacking and not self.expected.unmet

    @property
    def sentence(self) -> str:
        if self.since is None or self.until is None or not self.writers:
            return "Nothing can be said yet: no events are sealed, or the schedule has not looked yet."
        covered = [writer for writer in self.writers if writer.is_covered]
        whole = [writer for writer in covered if writer.verdict != "incomplete"]
        times = f"from {self.since:%Y-%m-%d %H:%M} to {self.until:%Y-%m-%d %H:%M} UTC"
        of = f"{len(whole)} of {_many(len(covered), 'writer')} with numbers or manifests"
        parts = [f"All events that were received {times} are judged: nothing is missing of {of}"]
        if covered and len(whole) < len(covered):
            lost = f"{_many(sum(writer.missing for writer in covered), 'numbered event')} never came"
            short = sum(writer.short_manifests for writer in covered)
            parts.append(lost + (f" and {_many(short, 'manifest')} did not agree" if short else ""))
            parts[-1] += f", of {_many(len(covered) - len(whole), 'writer')}"
        parts += self._reservations
        if bare := len(self.writers) - len(covered):
            parts.append(f"{_many(bare, 'writer')} without either: what they never sent cannot be seen")
        if silent := sum(writer.silent_since is not None for writer in self.writers):
            parts.append(f"{_many(silent, 'writer')} silent for longer than usual")
        if self.expected.unmet:
            rules = _many(self.expected.in_force, "rule")
            parts.append(f"{_many(self.expected.unmet, 'expectation')} not met, of {rules} in force")
        return "; ".join(parts) + "."

    @property
    def causes(self) -> list[tuple[str, str]]:
        """Why it is not whole: the kind of each cause, and how many there are in words."""
        lacking = [writer for writer in self.writers if writer.missing or writer.reused]
        missing, reused = (sum(getattr(writer, name) for writer in lacking) for name in ("missing", "reused"))
        short = sum(writer.short_manifests for writer in self.writers)
        silent = sum(writer.silent_since is not None for writer in self.writers)
        of = _many(len(lacking), "writer")
        causes = [
            ("gaps", missing, f"{_many(missing, 'numbered event')} never came, of {of}"),
            ("numbers", reused, f"{_many(reused, 'event')} with a number that another had"),
            ("manifests", short, f"{_many(short, 'manifest')} did not agree with what came"),
            ("silent", silent, f"{_many(silent, 'writer')} silent for longer than usual"),
            ("unmet", self.expected.unmet, f"{_many(self.expected.unmet, 'expectation')} not met"),
        ]
        return [(kind, words) for kind, count, words in causes if count]

    @property
    def _reservations(self) -> list[str]:
        """What "complete" leaves out of the writers that it is said of."""
        reused, explained = (sum(getattr(writer, name) for writer in self.writers) for name in ("reused", "explained"))
        partly = sum(0 < writer.numbered < writer.events for writer in self.writers)
        parts = [f"{_many(reused, 'event')} with a number that another had"] if reused else []
        parts += [f"{_many(explained, 'numbered event')} never came, with an explanation"] if explained else []
        return parts + ([f"{_many(partly, 'writer')} with events without a number"] if partly else [])


def summarize() -> Completeness:
    """What is known now of the writers that the viewer may see."""
    facts: dict[str, dict[str, Any]] = defaultdict(dict)
    for names, rows in _tables():
        for writer, *values in rows:
            facts[writer] |= zip(names, values, strict=True)
    silences = {each.writer: each.since for each in silence.silent()}
    writers = [
        WriterSummary(writer, silent_since=silences.get(writer), **columns)
        for writer, columns in sorted(facts.items())
        if visibility.may_see_totals(writer)
    ]
    until = Followed.objects.filter(name=Followed.COMPLETENESS).values_list("followed_at", flat=True).first()
    since = min((writer.first_at for writer in writers if writer.first_at), default=None)
    return Completeness(writers, since, until, _expected())


def unmet_by_rule() -> list[tuple[str, int, int, datetime]]:
    """Return for each rule that is not met, unexplained: its name, how often, of how many correlations, since when."""
    rows = visibility.visible_totals(Unmet.objects.filter(OPEN, closed_at=None)).order_by()
    grouped = rows.values("expectation__name").annotate(
        events=Count("pk"), subjects=Count("subject", distinct=True), since=Min("due_at")
    )
    columns = grouped.order_by("-events", "expectation__name")
    return list(columns.values_list("expectation__name", "events", "subjects", "since"))


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _expected() -> Expected:
    findings = visibility.visible_totals(Unmet.objects.filter(closed_at=None)).order_by()
    counts = findings.aggregate(unmet=Count("pk", filter=OPEN), explained=Count("pk", filter=EXPLAINED))
    return Expected(in_force=Expectation.objects.filter(active=True).count(), **counts)


def _tables() -> Iterator[tuple[tuple[str, ...], Iterable[tuple[Any, ...]]]]:
    """The names of facts, and rows of writers with their values: from one table after the other."""
    heard = Rhythm.objects.exclude(writer=OWN_WRITER)
    yield ("events", "first_at", "last_at"), heard.values_list("writer", "events", "first_at", "last_at")
    numberings = Numbering.objects.order_by().values_list("writer")
    yield ("numbered", "reused"), numberings.annotate(numbered_sum=Sum("events"), reused_sum=Sum("reused"))
    gaps = Gap.objects.filter(closed_at=None).order_by().values_list("numbering__writer")
    counts = {"lost": _missing(OPEN), "known": _missing(EXPLAINED), "open": Count("pk", filter=OPEN)}
    yield ("missing", "explained", "open_gaps"), gaps.annotate(**counts)
    stated = Manifest.objects.order_by().values_list("writer")
    short = Count("pk", filter=OPEN & Q(closed_at=None))
    yield ("manifests", "short_manifests"), stated.annotate(all=Count("pk"), short_ones=short)


def _missing(which: Q) -> Coalesce:
    return Coalesce(Sum("missing", filter=which), 0)
