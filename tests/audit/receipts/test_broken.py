"""Promises that were broken: told and recorded once, kept when the record comes after all."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import uuid_utils.compat

from audit import tasks
from audit.errors import AuditError
from audit.formats.event import accept
from audit.ingest.notify import deliver
from audit.ingest.record import store
from audit.ledger import seal
from audit.models import BrokenPromise, Record
from audit.queue import drain
from audit.receipts import verify
from tests.attacks.scene import Scene
from tests.attacks.statements import DELETE, DISABLE, EDIT, EDIT_STORED
from tests.audit.conftest import an_event
from tests.audit.receipts.conftest import an_accepted, broken_of, late, parked, receipt_for, seal_all, states


def test_a_promise_that_was_never_kept_is_told_and_recorded_once(told: list[str]) -> None:
    event = an_accepted()
    for _ in range(3):
        found = verify.verify_receipts([late(event)])
        assert (found.verdict, [one.kind for one in found.results]) == ("broken promise", ["missing"])
    assert len(broken_of(event)) == 1
    assert len(told) == 1
    assert str(event.id) in told[0]
    row = BrokenPromise.objects.get(event_id=event.id)
    assert (row.state, row.writer, row.told_at is not None) == ("open", event.writer, True)


def test_an_alarm_that_did_not_get_through_is_told_by_the_schedule(told: list[str], monkeypatch: Any) -> None:
    event = an_accepted()
    with monkeypatch.context() as silent:
        silent.setattr("dlq.alarm.tell", lambda name, text, **figures: False)
        verify.verify_receipts([late(event)])
    assert told == []
    deliver(retry_after=timedelta(0))
    assert any(str(event.id) in text for text in told)


def test_a_record_that_waits_too_long_for_its_leaf_breaks_the_promise_and_keeps_it_when_sealed(told: list[str]) -> None:
    event = an_accepted()
    store([event], timeout_s=20)
    (answer,) = verify.verify_receipts([late(event)]).results
    assert (answer.state, answer.kind) == ("broken promise", "late")
    seal_all()
    verify.recheck_broken()
    assert BrokenPromise.objects.get(event_id=event.id).state == "closed"
    assert states(late(event)) == ["sealed"]


def test_another_digest_under_the_id_breaks_the_promise_at_once(told: list[str]) -> None:
    event = an_accepted()
    store([event], timeout_s=20)
    other = receipt_for(event, events={str(event.id): "0" * 64})
    (answer,) = verify.verify_receipts([other]).results
    assert (answer.state, answer.kind) == ("broken promise", "altered")


def test_an_event_whose_id_was_taken_keeps_its_promise_under_a_new_one(told: list[str]) -> None:
    event = an_accepted()
    thief = accept(an_event(event_id=str(event.id)), writer="thief")
    store([thief], timeout_s=20)
    drain.store_parked([parked(event)])
    seal_all()
    (answer,) = verify.verify_receipts([late(event)]).results
    assert answer.state == "sealed" and "it is kept as" in answer.why
    assert Record.objects.get(id=answer.record_id).parent_event_id == event.id
    (forged,) = verify.verify_receipts([receipt_for(event, events={str(event.id): "0" * 64})]).results
    assert forged.state == "broken promise"


def test_what_was_promised_of_another_content_is_not_kept_by_a_later_receipt(told: list[str]) -> None:
    event = an_accepted()
    store([event], timeout_s=20)
    verify.verify_receipts([receipt_for(event, events={str(event.id): "0" * 64})])
    seal_all()
    assert states(receipt_for(event)) == ["sealed"]
    verify.recheck_broken()
    assert BrokenPromise.objects.get(event_id=event.id, kind="altered").state == "open"


def test_a_promise_that_was_kept_and_is_broken_again_is_open_and_told_again(told: list[str]) -> None:
    event = an_accepted()
    verify.verify_receipts([late(event)])
    BrokenPromise.objects.filter(event_id=event.id).update(closed_at=datetime.now(UTC))
    for _ in range(2):
        verify.verify_receipts([late(event)])
    assert BrokenPromise.objects.get(event_id=event.id).state == "open"
    assert (len(broken_of(event)), sum(str(event.id) in text for text in told)) == (2, 2)


@pytest.mark.slow
def test_records_that_a_superuser_takes_away_or_alters_break_their_promise(
    elsewhere: Scene, postgres: Any, told: list[str]
) -> None:
    events = [an_accepted() for _ in range(4)]
    store(events, timeout_s=20)
    seal.Sealer().once()
    texts = [receipt_for(event) for event in events]
    assert states(*texts) == ["sealed"] * 4
    with psycopg.connect(postgres.url("postgres", f"{elsewhere.name}_now"), autocommit=True) as superuser:
        superuser.execute(DISABLE)
        superuser.execute(DELETE.format(id=events[0].id))
        superuser.execute(EDIT.format(id=events[1].id))
        superuser.execute(EDIT_STORED.format(id=events[2].id))
    found = verify.verify_receipts(texts)
    assert [one.kind for one in found.results] == ["missing", "altered", "altered", ""]
    assert "at index" in found.results[0].why
    assert len(broken_of(events[0])) == 1
    assert len(told) == 1


def test_the_same_event_in_two_receipts_breaks_one_promise(told: list[str]) -> None:
    event = an_accepted()
    assert states(late(event), late(event)) == ["broken promise"] * 2
    assert BrokenPromise.objects.filter(event_id=event.id).count() == 1


def test_a_broken_promise_whose_record_cannot_be_kept_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    event = an_accepted()

    def refuse(*arguments: Any, **facts: Any) -> None:
        raise AuditError("tests")

    with monkeypatch.context() as refusing:
        refusing.setattr("audit.ingest.trail.add", refuse)
        with pytest.raises(AuditError):
            verify.verify_receipts([late(event)])
    assert not BrokenPromise.objects.filter(event_id=event.id).exists()
    verify.verify_receipts([late(event)])
    assert len(broken_of(event)) == 1


def test_the_schedule_looks_at_what_is_open_and_tells_nothing_twice(told: list[str]) -> None:
    event = accept(an_event(event_id=str(uuid_utils.compat.uuid7())), writer="tests")
    verify.verify_receipts([late(event)])
    tasks.account()
    tasks.account()
    assert len([text for text in told if str(event.id) in text]) == 1
