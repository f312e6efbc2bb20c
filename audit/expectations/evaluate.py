"""expect: follow the log with the rules about events that must come, and know which of them did not.

What an event makes us wait for is kept as `Awaited`, one small row, until its answer is read. What is still awaited
when it is ripe is looked up in the records, for its answer may have been read before it; what is not there is `Unmet`,
and closes when it comes after all. The result is the same in whatever order events came, and in whatever portions.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connections, transaction
from django.db.models import F, Q

from audit.expectations import daily_counts, unmet
from audit.formats import expectation
from audit.formats.expectation import AnswerEvent, ExpectationRule, ObservedEvent, Wait
from audit.models import OWN_WRITER, Awaited, Expectation, Followed, Unmet

BATCH = 1_000
ANSWERS = 100
"""So many answers of one correlation are read at a time."""
THE_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
MEET = Path(__file__).with_name("meet.sql").read_text(encoding="utf-8")
LOOK_UP = Path(__file__).with_name("answers.sql").read_text(encoding="utf-8")


class Judged(NamedTuple):
    """Something that was waited for long enough. Without an answer it never came."""

    wait: Wait
    answer: AnswerEvent | None


@transaction.atomic
def take(rows: Iterable[ObservedEvent]) -> None:
    """Take note of records of the log, each once, in any order."""
    if not (seen := sorted(rows, key=lambda one: (one.at, one.id))):
        return
    by_correlation: dict[str, list[ObservedEvent]] = defaultdict(list)
    for one in seen:
        by_correlation[one.correlation].append(one)
    _close(by_correlation)
    active = list(Expectation.objects.filter(active=True))
    ruled = [(one, one.rule) for one in active if one.kind != "rate"]
    met = _meet(ruled, seen) + _wait(ruled, seen, by_correlation)
    _count_met(met)
    daily_counts.take([one for one in active if one.kind == "rate"], seen)


@transaction.atomic
def settle(before: datetime) -> bool:
    """Judge a portion of what should have come before then; return whether more is left."""
    Followed.objects.select_for_update().get(name=Followed.COMPLETENESS)  # not while records are read
    daily_counts.settle(before)
    waiting = Awaited.objects.filter(ripe_at__lt=before).select_related("expectation").order_by("ripe_at", "id")
    ripe = list(waiting[:BATCH])
    by_rule: dict[Expectation, list[Awaited]] = defaultdict(list)
    for one in ripe:
        by_rule[one.expectation].append(one)
    for rule, awaited in by_rule.items():
        _settle(rule, awaited)
    return len(ripe) == BATCH


def judge(rule: ExpectationRule, waits: Sequence[Wait]) -> list[Judged]:
    """Look the answers up in the records. What has more answers than are read at a time may be left out, for later."""
    since: dict[str, datetime] = {}
    for one in waits:
        since[one.subject] = min(one.since, since.get(one.subject, one.since))
    answers = _answers(rule, since)
    judged = []
    for one in waits:
        found = answers[one.subject]
        answer = expectation.first_answer(rule.kind, one.since, one.began_by, found)
        if answer is not None or len(found) < ANSWERS:
            judged.append(Judged(one, answer))
    return judged


def _close(by_correlation: dict[str, list[ObservedEvent]]) -> None:
    """What did not come closes when it comes; of several the first counts, whichever is read first."""
    open_still = Q(closed_at=None) | Q(met_at__gt=F("due_at"))
    for row in Unmet.objects.filter(open_still, subject__in=by_correlation).exclude(kind="rate"):
        came = _fitting(row.expect_types, by_correlation[row.subject])
        answer = expectation.first_answer(row.kind, row.since, row.began_by, came)
        if answer is not None and (row.met_at is None or answer.at < row.met_at):
            row.met_at, row.met_by = answer.at, answer.id
            row.closed_at = row.closed_at or datetime.now(UTC)
            row.save(update_fields=["met_at", "met_by", "closed_at"])


def _fitting(patterns: list[str], seen: list[ObservedEvent]) -> list[AnswerEvent]:
    return [AnswerEvent(one.at, one.id) for one in seen if expectation.fits(patterns, one.event_type)]


def _meet(ruled: list[tuple[Expectation, ExpectationRule]], seen: list[ObservedEvent]) -> Counter[int]:
    """Wait no more for what came in time; return how often each rule was met."""
    answering: dict[str, list[tuple[int, bool]]] = {}
    came = []
    for one in seen:
        if one.event_type not in answering:
            answering[one.event_type] = [
                (known.pk, rule.kind == "has")
                for known, rule in ruled
                if expectation.fits(rule.expect_types, one.event_type)
            ]
        came += [(pk, one.correlation, one.id, one.at, whenever) for pk, whenever in answering[one.event_type]]
    if not came:
        return Counter()
    with connections["default"].cursor() as cursor:
        cursor.execute(MEET, [list(column) for column in zip(*came, strict=True)])
        return Counter(row[0] for row in cursor.fetchall())


def _wait(
    ruled: list[tuple[Expectation, ExpectationRule]],
    seen: list[ObservedEvent],
    by_correlation: dict[str, list[ObservedEvent]],
) -> Counter[int]:
    """Wait for what events ask for and their own portion does not answer; return how often each rule was met."""
    met: Counter[int] = Counter()
    came: dict[tuple[int, str], list[AnswerEvent]] = {}
    new: dict[tuple[int, str, str], Awaited] = {}
    for known, rule, one in _begun(ruled, seen):
        wait = expectation.wait(rule, known.version, one)
        if (of := (known.pk, wait.subject)) not in came:
            came[of] = _fitting(rule.expect_types, by_correlation[wait.subject])
        answer = expectation.first_answer(rule.kind, wait.since, wait.began_by, came[of])
        if answer is not None and expectation.in_time(rule.kind, wait.due_at, answer):
            met[known.pk] += 1
        else:
            new.setdefault((known.pk, wait.subject, wait.key), Awaited(expectation=known, **wait._asdict()))
    had = Unmet.objects.filter(kind="has", closed_at=None, subject__in={subject for _, subject, _ in new})
    for told in had.values_list("expectation_id", "subject", "key"):
        new.pop(told, None)
    Awaited.objects.bulk_create(new.values(), ignore_conflicts=True)
    return met


def _begun(
    ruled: list[tuple[Expectation, ExpectationRule]], seen: list[ObservedEvent]
) -> Iterable[tuple[Expectation, ExpectationRule, ObservedEvent]]:
    known: dict[tuple[str, str, str], list[tuple[Expectation, ExpectationRule]]] = {}
    for one in seen:
        of = (one.event_type, one.writer, one.category)
        if of not in known:
            known[of] = [pair for pair in ruled if expectation.begins(pair[1], one, own=OWN_WRITER)]
        for rule, asks in known[of]:
            if one.place >= rule.first_leaf:
                yield rule, asks, one


def _count_met(met: Counter[int]) -> None:
    for pk, count in sorted(met.items()):
        # Each event of a correlation asks anew for what the correlation must have: that says nothing as a count.
        Expectation.objects.filter(pk=pk).exclude(kind="has").update(met=F("met") + count)


def _settle(known: Expectation, awaited: list[Awaited]) -> None:
    rule = known.rule
    rows = {(one.subject, one.key): one.pk for one in awaited}
    judged = judge(rule, [Wait(**{field: getattr(one, field) for field in Wait._fields}) for one in awaited])
    late = [
        one for one in judged if one.answer is None or not expectation.in_time(rule.kind, one.wait.due_at, one.answer)
    ]
    unmet.keep([_unmet(known, one) for one in late])
    _count_met(Counter({known.pk: len(judged) - len(late)}))
    Awaited.objects.filter(pk__in=[rows[one.wait.subject, one.wait.key] for one in judged]).delete()


def _unmet(known: Expectation, judged: Judged) -> Unmet:
    wait, answer, now = judged.wait, judged.answer, datetime.now(UTC)
    came: dict[str, Any] = {}
    if answer is not None:
        came = {"met_at": answer.at, "met_by": answer.id, "closed_at": now}
    known_of_it = {field: getattr(wait, field) for field in Wait._fields if field != "ripe_at"}
    return Unmet(**unmet.asked(known), **known_of_it, **came, found_at=now)


def _answers(rule: ExpectationRule, since: dict[str, datetime]) -> dict[str, list[AnswerEvent]]:
    whole, beginnings = expectation.split(rule.expect_types)
    at = [THE_BEGINNING if rule.kind == "has" else one for one in since.values()]
    found: dict[str, list[AnswerEvent]] = defaultdict(list)
    with connections["default"].cursor() as cursor:
        cursor.execute(LOOK_UP, [list(since), at, whole, beginnings, 1 if rule.kind == "has" else ANSWERS])
        rows: list[tuple[str, datetime, UUID]] = cursor.fetchall()
    for subject, moment, record_id in rows:
        found[subject].append(AnswerEvent(moment, record_id))
    return found
