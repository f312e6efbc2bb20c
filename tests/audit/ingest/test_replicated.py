"""What a writer is promised while the synchronous standby is away: nothing that a failover would lose."""

import threading

import pytest
from django.test import override_settings

from audit.formats import event
from audit.ingest.record import record, store
from audit.postgres.faults import Overrun, Unconfirmed
from audit.postgres.gateway import gateway
from bench.load import wait_until
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
