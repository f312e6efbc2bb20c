"""What a writer is promised while the synchronous standby is away: nothing that a failover would lose."""

import threading

import pytest
from django.test import override_settings

import dlq.stream
from audit.formats import event
from audit.ingest.record import record, store
from audit.postgres.faults import Overrun, Unconfirmed
from audit.postgres.gateway import gateway, is_up
from audit.queue import drain
from bench.load import wait_until
from dlq.drain import DatabaseDown
from tests.audit.conftest import an_event, one
from tests.audit.replicated import Pair

pytestmark = pytest.mark.slow


def an_accepted() -> event.Accepted:
    return event.accept(an_event(), writer="tests")


def cancel_the_next_wait(pair: Pair) -> None:
    threading.Timer(0.05, lambda: wait_until(lambda: pair.cancel_waits() == 1, seconds=20, what="a wait")).start()


def test_an_event_whose_wait_for_the_standby_was_cancelled_is_parked(pair: Pair) -> None:
    """PostgreSQL says that it has stored it, with a warning beside that."""
    lost = an_accepted()
    pair.cut()
    cancel_the_next_wait(pair)
    with pytest.raises(Unconfirmed):
        store([lost], timeout_s=20)
    assert one("SELECT count(*) FROM audit_record WHERE id = %s", lost.id) == 1
    with override_settings(RECORD_PATIENCE_MS=20_000):
        cancel_the_next_wait(pair)
        (recorded,) = record([an_accepted()])
    assert recorded.state == "parked"
    pair.promote()
    pair.use(pair.standby)
    assert one("SELECT count(*) FROM audit_record WHERE id = %s", lost.id) == 0


def test_a_batch_too(pair: Pair) -> None:
    pair.cut()
    cancel_the_next_wait(pair)
    with pytest.raises(Unconfirmed):
        store([an_accepted(), an_accepted()], timeout_s=20)


def test_an_event_that_is_there_on_this_server_alone_is_no_duplicate(pair: Pair) -> None:
    """The drain would take it from the queue, and the failover from the store."""
    again = an_accepted()
    pair.cut()
    cancel_the_next_wait(pair)
    with pytest.raises(Unconfirmed):
        store([again], timeout_s=20)
    for events in ([again], [again, again]):
        with pytest.raises(Overrun):
            store(events, timeout_s=0.5)
    pair.join()
    assert store([again], timeout_s=20) == ["duplicate"]
    assert not gateway().breaker.is_open


def test_who_looks_whether_it_is_up_leaves_no_connection_behind_that_waits(pair: Pair) -> None:
    """A server that waits for its standby does not see that who asked has gone; all its connections would go so."""
    pair.cut()
    for _ in range(3):
        assert not is_up()
    wait_until(lambda: pair.waits() == 0, seconds=20, what="that no look waits")


def test_a_drain_that_waits_for_the_standby_gives_up_at_the_first_batch(
    pair: Pair, own_queue: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each half of it would wait as long, and leave a process of PostgreSQL behind that waits on."""
    pair.cut()
    with override_settings(RECORD_PATIENCE_MS=200):
        assert {recorded.state for recorded in record([an_accepted() for _ in range(4)])} == {"parked"}
    before, messages = pair.waits(), dlq.stream.for_drain().claim(4)
    monkeypatch.setattr(drain, "DRAIN_TIMEOUT_S", 0.5)
    with pytest.raises(DatabaseDown):
        drain.store_parked(messages)
    assert len(messages) == 4 and pair.waits() <= before + 1
