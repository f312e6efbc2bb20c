"""close: end what is unmet when its answer comes after all; of several answers the earliest counts, whichever is read
first.

A step of reconciling closes at most `AT_ONCE` findings of one correlation, and about `IN_A_STEP` of all. Where events
may close more of one, they are kept as a `LateAnswer`: `close_more` goes through the findings in portions, each a
transaction of its own from a saved place, and nobody else's findings wait for that.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import transaction

from audit.formats import expectation
from audit.formats.event import SealedEvent
from audit.formats.expectation import AnswerEvent
from audit.models import Followed, LateAnswer
from audit.postgres import sql

# Findings of one correlation, and of all, that a step closes; correlations of which one statement reads the findings.
AT_ONCE, IN_A_STEP, SUBJECTS = 100, 20_000, 100
PORTION = 1_000
LAST_ID = 2**63 - 1
# What an answer can still change: the condition of the index `audit_unmet_answerable`, in its order. PostgreSQL cannot
# know of how many findings a correlation is: by another index it would read all that ever were of one.
_OF_SUBJECT = """
SELECT id, kind, subject, expect_types, since, began_by, met_at FROM audit_unmet
WHERE (subject, id) > ({subject}, {after}) AND (subject, id) < ({subject}, {last})
    AND (closed_at IS NULL OR met_at > due_at) AND kind <> 'rate'
ORDER BY subject, id LIMIT %s
"""
_FEW = f"""
SELECT found.* FROM unnest(%s::text[]) AS asked (name)
CROSS JOIN LATERAL ({_OF_SUBJECT.format(subject="asked.name", after=0, last=LAST_ID)}) found
"""
_HAVE = _FEW.replace("found.*", "asked.name", 1)
_NEXT = _OF_SUBJECT.format(subject="%s", after="%s", last=LAST_ID)
_CLOSE = """
UPDATE audit_unmet SET met_at = now.at, met_by = now.by, closed_at = coalesce(closed_at, %s)
FROM unnest(%s::bigint[], %s::timestamptz[], %s::uuid[]) AS now (id, at, by) WHERE audit_unmet.id = now.id
"""


class Came(NamedTuple):
    """An event that came, as far as it may answer."""

    at: datetime
    id: UUID
    event_type: str


class Open(NamedTuple):
    """What says whether an answer closes a finding."""

    id: int
    kind: str
    subject: str
    expect_types: list[str]
    since: datetime
    began_by: UUID | None
    met_at: datetime | None


@transaction.atomic
def apply(by_correlation: Mapping[str, Sequence[SealedEvent]]) -> None:
    """Close what these events answer, each correlation's in the order of time; keep those that may close too many."""
    with sql.in_order():
        subjects = sorted(subject for (subject,) in sql.rows(_HAVE, [list(by_correlation), 1]))
    came = {
        subject: [Came(event.at, event.id, event.event_type) for event in by_correlation[subject]]
        for subject in subjects
    }
    late, read = list[str](), 0
    for first in range(0, len(subjects), SUBJECTS):
        portion = subjects[first : first + SUBJECTS]
        if read >= IN_A_STEP:
            late += portion
            continue
        few = defaultdict[str, list[Open]](list)
        with sql.in_order():
            rows = sql.rows(_FEW, [portion, AT_ONCE + 1])
        for row in _open(rows):
            few[row.subject].append(row)
        late += [subject for subject, rows in few.items() if len(rows) > AT_ONCE]
        read += sum(map(len, few.values()))
        _save([met for subject in few.keys() - set(late) for met in _met(few[subject], came[subject])])
    now = datetime.now(UTC)
    LateAnswer.objects.bulk_create(
        (LateAnswer(subject=subject, events=_as_json(came[subject]), read_at=now) for subject in late), PORTION
    )


def close_more() -> bool:
    """Close a portion of what a step has left; return whether there was one. First comes what had the fewest."""
    return LateAnswer.objects.exists() and _close_next()


@transaction.atomic
def _close_next() -> bool:
    Followed.objects.select_for_update().get(name=Followed.COMPLETENESS)  # not while records are read
    late = LateAnswer.objects.order_by("portions", "id").first()
    if late is None:
        return False
    with sql.in_order():
        rows = list(_open(sql.rows(_NEXT, [late.subject, late.place, late.subject, PORTION])))
    _save(list(_met(rows, _read(late.events))))
    if len(rows) < PORTION:
        late.delete()
        return True
    late.place, late.portions = rows[-1].id, late.portions + 1
    late.save(update_fields=["place", "portions"])
    return True


def _open(rows: Iterable[tuple[Any, ...]]) -> Iterator[Open]:
    return (Open._make((*row[:3], json.loads(row[3]), *row[4:])) for row in rows)


def _met(rows: Sequence[Open], came: Sequence[Came]) -> Iterator[tuple[int, datetime, UUID]]:
    """Yield of each that is met the id, and the time and id of the earliest answer, unless it has an earlier one."""
    answers: dict[tuple[str, ...], list[AnswerEvent]] = {}
    for row in rows:
        if (key := tuple(row.expect_types)) not in answers:
            fit = (each for each in came if expectation.fits(key, each.event_type))
            answers[key] = [AnswerEvent(each.at, each.id) for each in fit]
        answer = expectation.first_answer(row.kind, row.since, row.began_by, answers[key])
        if answer is not None and (row.met_at is None or answer.at < row.met_at):
            yield row.id, answer.at, answer.id


def _save(met: Sequence[tuple[int, datetime, UUID]]) -> None:
    if met:
        sql.run(_CLOSE, [datetime.now(UTC), *map(list, zip(*met, strict=True))])


def _as_json(came: Iterable[Came]) -> list[list[str]]:
    return [[each.at.isoformat(), str(each.id), each.event_type] for each in came]


def _read(events: Iterable[list[str]]) -> list[Came]:
    return [Came(datetime.fromisoformat(at), UUID(name), event_type) for at, name, event_type in events]
