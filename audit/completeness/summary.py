"""summary: of each writer, what can be said about what never came, and what cannot."""

from collections import Counter, defaultdict
from datetime import datetime
from typing import Any, NamedTuple

from audit import visibility
from audit.completeness import counts, silence
from audit.models import OWN_WRITER, Expectation, Followed, Rhythm
from audit.postgres import sql

# A rule that was not met more often than this: of how many correlations is not counted.
SUBJECTS_OF = 200
# The open ones of a rule and writer, the oldest first: in the order of `audit_unmet_rule`, for by another index
# PostgreSQL would read all of a rule for each of its writers.
_OPEN = """
SELECT due_at, subject FROM audit_unmet
WHERE (expectation_id, writer) >= (unmet.rule, unmet.writer) AND (expectation_id, writer) <= (unmet.rule, unmet.writer)
    AND closed_at IS NULL AND explained_at IS NULL
ORDER BY expectation_id, writer, due_at
"""
_OLDEST = f"""
SELECT rule, min(oldest.due_at) FROM unnest(%s::bigint[], %s::text[]) AS unmet (rule, writer)
CROSS JOIN LATERAL ({_OPEN} LIMIT 1) oldest GROUP BY rule
"""
# Of a rule that was not met often, its correlations.
_SUBJECTS = f"""
SELECT rule, count(DISTINCT found.subject) FROM unnest(%s::bigint[], %s::text[]) AS unmet (rule, writer)
CROSS JOIN LATERAL ({_OPEN} LIMIT {SUBJECTS_OF}) found GROUP BY rule
"""
COUNTING = "Findings of before an upgrade are being counted: until then there may be more than is said here"


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


class UnmetRule(NamedTuple):
    """A rule that is not met, unexplained: how often, of how many correlations (None: not counted), and since when."""

    name: str
    events: int
    subjects: int | None
    since: datetime | None


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
    # Whether findings of before an upgrade are not counted yet.
    is_counting: bool = False

    @property
    def whole(self) -> bool:
        """Whether nothing is missing, of what can be seen."""
        return not self.lacks and not self.is_counting

    @property
    def lacks(self) -> bool:
        """Whether something is missing, of what is counted."""
        lacking = any(writer.verdict == "incomplete" or writer.silent_since for writer in self.writers)
        return lacking or bool(self.expected.unmet)

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
        parts = [COUNTING, *parts] if self.is_counting else parts
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
    heard = visibility.visible_totals(Rhythm.objects.exclude(writer=OWN_WRITER))
    for rhythm in heard.only("writer", "events", "first_at", "last_at"):
        facts[rhythm.writer] |= {"events": rhythm.events, "first_at": rhythm.first_at, "last_at": rhythm.last_at}
    expected = Expected(in_force=Expectation.objects.filter(active=True).count())
    for writer, kind, figures in counts.of_writers():
        if kind == "unmet":
            more = {"unmet": expected.unmet + figures.open, "explained": expected.explained + figures.explained}
            expected = expected._replace(**more)
        elif named := _FACTS.get(kind):
            facts[writer] |= {name: getattr(figures, of) for name, of in named.items()}
    silences = {each.writer: each.since for each in silence.silent()}
    writers = [
        WriterSummary(writer, silent_since=silences.get(writer), **columns) for writer, columns in sorted(facts.items())
    ]
    until = Followed.objects.filter(name=Followed.COMPLETENESS).values_list("followed_at", flat=True).first()
    since = min((writer.first_at for writer in writers if writer.first_at), default=None)
    return Completeness(writers, since, until, expected, counts.is_counting())


# What of the figures of a kind a writer's summary says.
_FACTS: dict[str, dict[str, str]] = {
    "numbering": {"numbered": "numbered", "reused": "reused"},
    "gap": {"missing": "missing", "explained": "missing_explained", "open_gaps": "open"},
    "manifest": {"manifests": "every", "short_manifests": "open"},
}


def unmet_by_rule() -> list[UnmetRule]:
    """Return the rules that are not met, unexplained, that most often was not first."""
    found = counts.open_by_rule()
    events: Counter[int] = Counter()
    for rule, _, count in found:
        events[rule] += count
    pairs = [(rule, writer) for rule, writer, _ in found]
    few = [(rule, writer) for rule, writer in pairs if events[rule] <= SUBJECTS_OF]
    with sql.in_order():
        oldest = dict(sql.rows(_OLDEST, _columns(pairs)))
        subjects = dict(sql.rows(_SUBJECTS, _columns(few)))
    names = dict(Expectation.objects.filter(pk__in=events).values_list("pk", "name"))
    rows = [UnmetRule(names[pk], count, subjects.get(pk), oldest.get(pk)) for pk, count in events.items()]
    return sorted(rows, key=lambda row: (-row.events, row.name))


def _columns(pairs: list[tuple[int, str]]) -> list[list[Any]]:
    return [[rule for rule, _ in pairs], [writer for _, writer in pairs]]


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
