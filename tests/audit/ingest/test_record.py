"""Events that threads record at the same time are stored together, and each has the answer that it would have alone."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import psycopg
import pytest
import uuid_utils.compat
from django.conf import settings
from hypothesis import HealthCheck, given, strategies
from hypothesis import settings as hypothesis_settings

from audit.errors import AuditError
from audit.formats import canonical, event
from audit.formats.event import Accepted
from audit.ingest import record
from audit.models import Record
from audit.postgres.gateway import gateway
from audit.queue import drain
from tests.audit.conftest import an_event, with_id

WAITS_FOR_LOCK = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'audit_app' AND wait_event_type = 'Lock'"
# Its kind, and which of three ids it has.
Plan = list[tuple[str, int]]
plans = strategies.lists(
    strategies.tuples(strategies.sampled_from(["first", "other", "unstorable", "too long"]), strategies.integers(0, 2)),
    min_size=2,
    max_size=7,
)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(settings, "RECORD_PATIENCE_MS", 60_000)
    monkeypatch.setattr(settings, "HEARTBEAT_TIMEOUT_MS", 60_000)
    yield
    drain.drain(seconds=20)


def events_of(plan: Plan) -> list[Accepted]:
    """The events of a plan, with ids that nobody used."""
    ids = [str(uuid_utils.compat.uuid7()) for _ in range(3)]
    correlation = an_event()["correlation_id"]
    return [_event(kind, an_event(event_id=ids[number], correlation_id=correlation)) for kind, number in plan]


def _event(kind: str, document: dict[str, Any]) -> Accepted:
    document["event_data"] = {"kind": "first" if kind == "first" else "other"}
    accepted = event.accept(document, writer="tests")
    if kind == "unstorable":  # validation would find it
        return _with(accepted, accepted.body.replace(b'"other"', b'"\\u0000"'))
    if kind == "too long":  # for the column
        return _with(accepted, accepted.body.replace(b'"gateway.signal.received"', b'"' + b"x" * 200 + b'"'))
    return accepted


def _with(accepted: Accepted, body: bytes) -> Accepted:
    assert body != accepted.body
    return msgspec.structs.replace(accepted, body=body, digest=canonical.digest(body))


def answer(accepted: Accepted) -> str:
    try:
        return record.record([accepted])[0].state
    except AuditError as error:
        return type(error).__name__


def answers_together(events: Sequence[Accepted], superuser: psycopg.Connection[Any]) -> list[str]:
    """The answers to events that wait, in this order, while an event before them is held up by a lock."""
    record.record([event.accept(with_id(), writer="tests")])
    together = record._store_together
    with ThreadPoolExecutor(len(events) + 1) as pool:
        with superuser.transaction():
            superuser.execute("LOCK TABLE audit_record IN EXCLUSIVE MODE")
            pool.submit(answer, event.accept(with_id(), writer="tests"))
            while superuser.execute(WAITS_FOR_LOCK).fetchone() == (0,):
                superuser.execute("SELECT pg_stat_clear_snapshot()")
            answers = []
            for place, accepted in enumerate(events, start=1):
                answers.append(pool.submit(answer, accepted))
                while len(together._waiting) < place:
                    assert not answers[-1].done()
        return [future.result() for future in answers]


def test_a_group_has_the_answers_of_one_by_one(superuser: psycopg.Connection[Any]) -> None:
    plan = [("first", 0), ("other", 1), ("first", 0), ("other", 0), ("first", 2), ("other", 1), ("first", 1)]
    assert answers_together(events_of(plan), superuser) == [
        "stored", "stored", "duplicate", "Conflict", "stored", "duplicate", "Conflict"
    ]  # fmt: skip


def test_what_is_stored_already_is_a_duplicate_or_a_conflict_in_a_group_too(superuser: psycopg.Connection[Any]) -> None:
    first, other, new = events_of([("first", 0), ("other", 0), ("first", 1)])
    record.record([first])
    assert answers_together([first, other, new, new], superuser) == ["duplicate", "Conflict", "stored", "duplicate"]


def test_an_event_that_the_database_refuses_is_refused_alone(superuser: psycopg.Connection[Any]) -> None:
    events = events_of([("first", 0), ("unstorable", 1), ("too long", 2), ("first", 0)])
    answers = answers_together(events, superuser)
    assert sorted(answers) == ["Invalid", "duplicate", "parked", "stored"]
    assert answers[1:3] == ["Invalid", "parked"]
    assert Record.objects.filter(id=events[0].id).count() == 1


@pytest.mark.slow
@given(plan=plans)
@hypothesis_settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_group_has_the_answers_of_one_by_one_in_some_order(superuser: psycopg.Connection[Any], plan: Plan) -> None:
    events = events_of(plan)
    alone = [answer(accepted) for accepted in events_of(plan)]
    together = answers_together(events, superuser)
    if not any(kind in ("unstorable", "too long") for kind, _ in plan):
        assert together == alone
    pairs = list(zip(events, together, strict=True))
    for id_ in {accepted.id for accepted in events}:
        stored = Record.objects.filter(id=id_).first()
        for accepted, answered in [pair for pair in pairs if pair[0].id == id_]:
            if answered in ("stored", "duplicate"):
                assert stored is not None and stored.digest == accepted.digest and stored.digest_holds
        answered_stored = [answered for accepted, answered in pairs if accepted.id == id_ and answered == "stored"]
        assert len(answered_stored) == (stored is not None)
    for (kind, _), answered in zip(plan, together, strict=True):
        assert answered in {"unstorable": ["Invalid", "Conflict"], "too long": ["parked", "Conflict"]}.get(
            kind, ["stored", "duplicate", "Conflict"]
        )


def test_a_group_that_takes_too_long_is_parked_whole(
    superuser: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    events = events_of([("first", 0), ("first", 1), ("other", 2)])
    record.record([event.accept(with_id(), writer="tests")])
    monkeypatch.setattr(settings, "RECORD_PATIENCE_MS", 100)
    with superuser.transaction(), ThreadPoolExecutor(3) as pool:
        superuser.execute("LOCK TABLE audit_record IN EXCLUSIVE MODE")
        assert [*pool.map(answer, events)] == ["parked"] * 3
    assert gateway().breaker.wait_closed(20)
    drain.drain(seconds=20)
    assert Record.objects.filter(id__in=[accepted.id for accepted in events]).count() == 3


@pytest.mark.slow
def test_while_postgresql_is_stopped_each_of_a_group_has_the_answer_of_its_own(postgres: Any) -> None:
    events = events_of([("first", 0), ("other", 0), ("first", 0), ("first", 1), ("first", 2), ("other", 2)] * 4)
    with postgres.stopped(), ThreadPoolExecutor(len(events)) as pool:
        answers = [*pool.map(answer, events)]
    promised = {accepted.digest for accepted, answered in zip(events, answers, strict=True) if answered == "parked"}
    assert len(promised) == 3
    assert set(answers) == {"parked", "Conflict"}
    assert all(
        (accepted.digest in promised) == (said == "parked") for accepted, said in zip(events, answers, strict=True)
    )
    assert gateway().breaker.wait_closed(20)
    drain.drain(seconds=20)
    assert {bytes(row.digest) for row in Record.objects.filter(id__in=[accepted.id for accepted in events])} == promised
