"""backtest: what a rule would have found in the log so far. Reads, and keeps nothing."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from typing import NamedTuple

from audit.expectations import evaluate
from audit.formats import expectation
from audit.formats.event import SealedEvent
from audit.formats.expectation import ExpectationRule, Wait
from audit.models import OWN_WRITER
from audit.postgres import sql

BATCH = 5_000
FINDINGS_NAMED = 20
_ROWS = """
SELECT l.index, r.id, r.writer, r.event_type, r.event_category, r.correlation_id, r.event_timestamp, r.stored_at,
       r.received_at
FROM audit_leaf l JOIN audit_record r ON r.id = l.record_id
WHERE l.index >= %s AND l.index < %s
"""

# Called with how many records are read, and of how many.
Progress = Callable[[int, int], None]


class BacktestResult(NamedTuple):
    """What a rule would have found."""

    # How often it would have awaited something, or how many days it would have judged.
    asked: int
    unmet: int
    late: int
    # The first that were not met, in words.
    named: list[str]


def run(
    rule: ExpectationRule, first: int, last: int, *, now: datetime, progress: Progress | None = None
) -> BacktestResult:
    """Judge the records at first .. last of the log; what is not due yet, and half days, are left out."""
    if rule.kind == "rate":
        return _run_days(rule, _portions(first, last, progress))
    asked: set[tuple[str, str]] = set()
    unmet = late = 0
    named: list[str] = []
    for events in _portions(first, last, progress):
        for judged in _judge(rule, _new_waits(rule, events, asked), now):
            if judged.answer is None:
                unmet += 1
                named += [_words(judged.wait)] if len(named) < FINDINGS_NAMED else []
            elif not judged.is_met(rule):
                late += 1
    return BacktestResult(len(asked), unmet, late, named)


def _new_waits(rule: ExpectationRule, events: list[SealedEvent], asked: set[tuple[str, str]]) -> list[Wait]:
    waits = []
    for event in events:
        if expectation.begins(rule, event, own=OWN_WRITER):
            wait = expectation.wait(rule, 0, event)
            if (wait.subject, wait.key) not in asked:
                asked.add((wait.subject, wait.key))
                waits.append(wait)
    return waits


def _judge(rule: ExpectationRule, waits: list[Wait], now: datetime) -> Iterator[evaluate.JudgedWait]:
    waiting = [wait for wait in waits if wait.due_at < now]
    while waiting:
        judged = evaluate.judge(rule, waiting[: evaluate.BATCH])
        done = {(each.wait.subject, each.wait.key) for each in judged}
        waiting = [wait for wait in waiting if (wait.subject, wait.key) not in done]
        yield from judged


def _run_days(rule: ExpectationRule, portions: Iterator[list[SealedEvent]]) -> BacktestResult:
    came: Counter[date] = Counter()
    days: set[date] = set()
    for events in portions:
        days |= {expectation.day_of(event.at) for event in events}
        came.update(expectation.day_of(event.at) for event in events if expectation.counts(rule, event))
    if not days:
        return BacktestResult(0, 0, 0, [])
    whole = [min(days) + timedelta(days=n) for n in range(1, (max(days) - min(days)).days)]
    few = [day for day in whole if came[day] < (rule.least or 0)]
    return BacktestResult(len(whole), len(few), 0, [f"{day}: {came[day]:,} came" for day in few[:FINDINGS_NAMED]])


def _words(wait: Wait) -> str:
    return f"{wait.subject}: waited from {wait.since:%Y-%m-%d %H:%M:%S}Z to {wait.due_at:%Y-%m-%d %H:%M:%S}Z"


def _portions(first: int, last: int, progress: Progress | None) -> Iterator[list[SealedEvent]]:
    for start in range(first, last, BATCH):
        end = min(start + BATCH, last)
        yield [SealedEvent(*row) for row in sql.rows(_ROWS, [start, end])]
        if progress:
            progress(end - first, last - first)
