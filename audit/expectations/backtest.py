"""hindsight: what a rule would have found in the log that there is. Reads; keeps nothing."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from typing import NamedTuple

from django.db import connections

from audit.expectations import evaluate
from audit.formats import expectation
from audit.formats.expectation import ExpectationRule, ObservedEvent, Wait
from audit.models import OWN_WRITER

BATCH = 5_000
NAMED = 20
_ROWS = """
SELECT l.index, r.id, r.writer, r.event_type, r.event_category, r.correlation_id, r.event_timestamp, r.stored_at
FROM audit_leaf l JOIN audit_record r ON r.id = l.record_id
WHERE l.index >= %s AND l.index < %s
"""

Progress = Callable[[int, int], None]
"""Told how many records are read, of how many."""


class Hindsight(NamedTuple):
    """What a rule would have found."""

    asked: int
    """How often it would have waited for something, or how many days it would have judged."""
    unmet: int
    late: int
    named: list[str]
    """The first that were not met, in words."""


def look(rule: ExpectationRule, first: int, last: int, *, now: datetime, progress: Progress | None = None) -> Hindsight:
    """Judge the records at first .. last of the log; what is not due yet, and half days, are left out."""
    if rule.kind == "rate":
        return _days(rule, _read(first, last, progress))
    asked: set[tuple[str, str]] = set()
    unmet = late = 0
    named: list[str] = []
    for seen in _read(first, last, progress):
        for judged in _judge(rule, _new(rule, seen, asked), now):
            if judged.answer is None:
                unmet += 1
                named += [_words(judged.wait)] if len(named) < NAMED else []
            elif not expectation.in_time(rule.kind, judged.wait.due_at, judged.answer):
                late += 1
    return Hindsight(len(asked), unmet, late, named)


def _new(rule: ExpectationRule, seen: list[ObservedEvent], asked: set[tuple[str, str]]) -> list[Wait]:
    found = []
    for one in seen:
        if expectation.begins(rule, one, own=OWN_WRITER):
            wait = expectation.wait(rule, 0, one)
            if (wait.subject, wait.key) not in asked:
                asked.add((wait.subject, wait.key))
                found.append(wait)
    return found


def _judge(rule: ExpectationRule, waits: list[Wait], now: datetime) -> Iterator[evaluate.Judged]:
    left = [one for one in waits if one.due_at < now]
    while left:
        judged = evaluate.judge(rule, left[: evaluate.BATCH])
        done = {(one.wait.subject, one.wait.key) for one in judged}
        left = [one for one in left if (one.subject, one.key) not in done]
        yield from judged


def _days(rule: ExpectationRule, portions: Iterator[list[ObservedEvent]]) -> Hindsight:
    came: Counter[date] = Counter()
    days: set[date] = set()
    for seen in portions:
        days |= {expectation.day_of(one.at) for one in seen}
        came.update(expectation.day_of(one.at) for one in seen if expectation.counts(rule, one))
    if not days:
        return Hindsight(0, 0, 0, [])
    whole = [min(days) + timedelta(days=n) for n in range(1, (max(days) - min(days)).days)]
    few = [day for day in whole if came[day] < (rule.least or 0)]
    return Hindsight(len(whole), len(few), 0, [f"{day}: {came[day]:,} came" for day in few[:NAMED]])


def _words(wait: Wait) -> str:
    return f"{wait.subject}: waited from {wait.since:%Y-%m-%d %H:%M:%S}Z to {wait.due_at:%Y-%m-%d %H:%M:%S}Z"


def _read(first: int, last: int, progress: Progress | None) -> Iterator[list[ObservedEvent]]:
    for start in range(first, last, BATCH):
        end = min(start + BATCH, last)
        with connections["default"].cursor() as cursor:
            cursor.execute(_ROWS, [start, end])
            yield [ObservedEvent(*row) for row in cursor.fetchall()]
        if progress:
            progress(end - first, last - first)
