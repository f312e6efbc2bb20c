"""evaluate: follow the log with the rules about events that must come, and find which of those events did not.

What an event makes us wait for is an `Awaited`, one small row, until its answer is read. What is still awaited when it
is ripe is looked up in the records, for its answer may have been read before it; without an answer it is `Unmet`, and
closes when the answer comes after all. The result is the same in whatever order and portions events are read.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models import F

from audit.expectations import close, daily_counts, unmet
from audit.formats import expectation
from audit.formats.event import SealedEvent
from audit.formats.expectation import AnswerEvent, ExpectationRule, Wait
from audit.models import OWN_WRITER, Awaited, Expectation, Followed, Unmet
from audit.postgres import sql

BATCH = 1_000
# Answers of one correlation that are read at a time.
ANSWERS = 100
THE_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
# What a step awaits, a portion of it.
AWAIT = """
INSERT INTO audit_awaited (expectation_id, subject, key, writer, began_by, since, due_at, ripe_at)
SELECT * FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::uuid[], %s::timestamptz[], %s::timestamptz[],
    %s::timestamptz[])
ON CONFLICT (expectation_id, subject, key) DO NOTHING
"""
MEET = Path(__file__).with_name("meet.sql").read_text(encoding="utf-8")
LOOK_UP = Path(__file__).with_name("answers.sql").read_text(encoding="utf-8")

ByCorrelation = dict[str, list[SealedEvent]]
Ruled = list[tuple[Expectation, ExpectationRule]]


class JudgedWait(NamedTuple):
    """Something that was awaited long enough. Without an answer it never came."""

    wait: Wait
    answer: AnswerEvent | None

    def is_met(self, rule: ExpectationRule) -> bool:
        return self.answer is not None and expectation.in_time(rule.kind, self.wait.due_at, self.answer)


@transaction.atomic
def apply(sealed: Iterable[SealedEvent]) -> None:
    """Apply events of the log to all rules: each event once, in any order."""
    if not (events := sorted(sealed, key=lambda event: (event.at, event.id))):
        return
    by_correlation: ByCorrelation = defaultdict(list)
    for event in events:
        by_correlation[event.correlation].append(event)
    close.apply(by_correlation)
    active = list(Expectation.objects.filter(active=True))
    ruled = [(row, row.rule) for row in active if row.kind != "rate"]
    _count_met(_meet(ruled, events) + _wait(ruled, events, by_correlation))
    daily_counts.apply([row for row in active if row.kind == "rate"], events)


@transaction.atomic
def settle(before: datetime) -> bool:
    """Judge a portion of what should have come before then; return whether more is left."""
    Followed.objects.select_for_update().get(name=Followed.COMPLETENESS)  # not while records are read
    daily_counts.settle(before)
    waiting = Awaited.objects.filter(ripe_at__lt=before).select_related("expectation").order_by("ripe_at", "id")
    ripe = list(waiting[:BATCH])
    by_rule: dict[Expectation, list[Awaited]] = defaultdict(list)
    for awaited in ripe:
        by_rule[awaited.expectation].append(awaited)
    for row, waits in by_rule.items():
        _settle(row, waits)
    return len(ripe) == BATCH


def judge(rule: ExpectationRule, waits: Sequence[Wait]) -> list[JudgedWait]:
    """Look up the answers in the records. A wait with more answers than are read at a time may be left for later."""
    since: dict[str, datetime] = {}
    for wait in waits:
        since[wait.subject] = min(wait.since, since.get(wait.subject, wait.since))
    answers = _answers(rule, since)
    judged = []
    for wait in waits:
        candidates = answers[wait.subject]
        answer = expectation.first_answer(rule.kind, wait.since, wait.began_by, candidates)
        if answer is not None or len(candidates) < ANSWERS:
            judged.append(JudgedWait(wait, answer))
    return judged


def _answering(patterns: list[str], events: list[SealedEvent]) -> list[AnswerEvent]:
    return [AnswerEvent(event.at, event.id) for event in events if expectation.fits(patterns, event.event_type)]


def _meet(ruled: Ruled, events: list[SealedEvent]) -> Counter[int]:
    """Stop awaiting what came in time; return how often each rule was met."""
    answered_by: dict[str, list[tuple[int, bool]]] = {}
    rows = []
    for event in events:
        if event.event_type not in answered_by:
            answered_by[event.event_type] = [
                (row.pk, rule.kind == "has")
                for row, rule in ruled
                if expectation.fits(rule.expect_types, event.event_type)
            ]
        rows += [
            (pk, event.correlation, event.id, event.at, any_time) for pk, any_time in answered_by[event.event_type]
        ]
    if not rows:
        return Counter()
    return Counter(pk for (pk,) in sql.rows(MEET, [list(column) for column in zip(*rows, strict=True)]))


def _wait(ruled: Ruled, events: list[SealedEvent], by_correlation: ByCorrelation) -> Counter[int]:
    """Await what these events ask for and do not answer themselves; return how often each rule was met."""
    met: Counter[int] = Counter()
    answers: dict[tuple[int, str], list[AnswerEvent]] = {}
    new: dict[tuple[int, str, str], Wait] = {}
    for row, rule, event in _begun(ruled, events):
        wait = expectation.wait(rule, row.version, event)
        if (key := (row.pk, wait.subject)) not in answers:
            answers[key] = _answering(rule.expect_types, by_correlation[wait.subject])
        judged = JudgedWait(wait, expectation.first_answer(rule.kind, wait.since, wait.began_by, answers[key]))
        if judged.is_met(rule):
            met[row.pk] += 1
        else:
            new.setdefault((*key, wait.key), wait)
    unmet_before = Unmet.objects.filter(kind="has", closed_at=None, subject__in={subject for _, subject, _ in new})
    for before in unmet_before.values_list("expectation_id", "subject", "key"):
        new.pop(before, None)
    rows = [(rule, *wait) for (rule, _, _), wait in new.items()]
    for first in range(0, len(rows), BATCH):
        sql.run(AWAIT, list(map(list, zip(*rows[first : first + BATCH], strict=True))))
    return met


def _begun(ruled: Ruled, events: list[SealedEvent]) -> Iterator[tuple[Expectation, ExpectationRule, SealedEvent]]:
    begun_by: dict[tuple[str, str, str], Ruled] = {}
    for event in events:
        key = (event.event_type, event.writer, event.category)
        if key not in begun_by:
            begun_by[key] = [pair for pair in ruled if expectation.begins(pair[1], event, own=OWN_WRITER)]
        for row, rule in begun_by[key]:
            if event.leaf_index >= row.first_leaf:
                yield row, rule, event


def _count_met(met: Counter[int]) -> None:
    for pk, count in sorted(met.items()):
        # Each event of a correlation asks anew for what the correlation must have: that count would say nothing.
        Expectation.objects.filter(pk=pk).exclude(kind="has").update(met=F("met") + count)


def _settle(row: Expectation, awaited: list[Awaited]) -> None:
    rule, now = row.rule, datetime.now(UTC)
    ids = {(each.subject, each.key): each.pk for each in awaited}
    judged = judge(rule, [Wait(**{field: getattr(each, field) for field in Wait._fields}) for each in awaited])
    late = [each for each in judged if not each.is_met(rule)]
    unmet.store([_unmet(row, each, now) for each in late])
    _count_met(Counter({row.pk: len(judged) - len(late)}))
    Awaited.objects.filter(pk__in=[ids[each.wait.subject, each.wait.key] for each in judged]).delete()


def _unmet(row: Expectation, judged: JudgedWait, now: datetime) -> Unmet:
    wait = judged.wait._asdict()
    del wait["ripe_at"]
    if judged.answer is not None:
        wait |= {"met_at": judged.answer.at, "met_by": judged.answer.id, "closed_at": now}
    return Unmet(**unmet.facts_of(row), **wait, found_at=now)


def _answers(rule: ExpectationRule, since: dict[str, datetime]) -> dict[str, list[AnswerEvent]]:
    whole, beginnings = expectation.split(rule.expect_types)
    any_time = rule.kind == "has"
    starts = [THE_BEGINNING if any_time else moment for moment in since.values()]
    answers: dict[str, list[AnswerEvent]] = defaultdict(list)
    rows: list[tuple[str, datetime, UUID]] = sql.rows(
        LOOK_UP, [list(since), starts, whole, beginnings, 1 if any_time else ANSWERS]
    )
    for subject, moment, record_id in rows:
        answers[subject].append(AnswerEvent(moment, record_id))
    return answers
