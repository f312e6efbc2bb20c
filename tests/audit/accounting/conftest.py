"""A queue of a test's own, so that its figures are known."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any, cast

import msgspec
import pytest

import dlq.counters
import dlq.spool
import dlq.stream
from audit.accounting import balance, queue_counts
from audit.accounting.balance import BalanceLine, WriterDay
from audit.formats import event
from audit.ingest import record, rejection_counters
from audit.postgres.gateway import gateway
from dlq.message import Message
from dlq.stream import Stream
from tests.audit.completeness.conftest import follow
from tests.audit.conftest import BATCH, Sender, with_id
from tests.days import own_days


def entries(sender: Sender) -> list[WriterDay]:
    """Of today and, should midnight pass during a test, of yesterday."""
    today = datetime.now(UTC).date()
    return balance.compute(today - timedelta(days=1), today, writer=sender.name).rows


def line(sender: Sender) -> BalanceLine:
    """The account after all was read and copied."""
    follow()
    assert queue_counts.copy().whole
    rejection_counters.gather()
    found = entries(sender)
    assert [one.not_yet for one in found if one.not_yet] == []
    return balance.total(one.line for one in found)


def told(found: BalanceLine) -> dict[str, int]:
    """The figures that are not 0."""
    assert found.unexplained == 0
    return {name: count for name, count in found.figures().items() if count and name != "stored"}


def messages(sender: Sender) -> list[Message]:
    return [one for one in dlq.stream.for_drain().pages.page(limit=1000) if one.source == sender.name]


def park(sender: Sender, count: int) -> None:
    """The same without stopping anything."""
    accepted = [event.accept(with_id(), writer=sender.name) for _ in range(count)]
    dlq.stream.for_drain().park([record.document(one) for one in accepted], reason="database-down")


def state_of(queue: Stream) -> dict[bytes, bytes]:
    """All that Redis has of a queue: what a file of it would hold."""
    return {key: cast(bytes, queue.redis.dump(key)) for key in _keys(queue)}


def put_back(queue: Stream, state: dict[bytes, bytes]) -> None:
    """Restore the queue as it was: what is not in the file is gone."""
    wipe(queue)
    for key, dump in state.items():
        queue.redis.restore(key, 0, dump)


def wipe(queue: Stream) -> None:
    """What a Redis that lost everything has of the queue."""
    for key in _keys(queue):
        queue.redis.delete(key)


def _keys(queue: Stream) -> list[bytes]:
    return list(queue.redis.scan_iter(f"{queue.keys.stream.rpartition(':')[0]}:*"))


ACCOUNT = "/api/v1/audit/account"


@pytest.fixture
def sender() -> Sender:
    return Sender("write", "read")


def parked_events(sender: Sender, postgres: Any, count: int) -> list[dict[str, Any]]:
    """Events that came while PostgreSQL was stopped; the next one that is stored tells how many."""
    events = [with_id() for _ in range(count)]
    with postgres.stopped():
        for at in range(0, count, 250):
            assert sender.post(events[at : at + 250], BATCH).status_code == 202
    assert gateway().breaker.wait_closed(20)
    return events


def park_on(sender: Sender, moment: datetime, count: int) -> date:
    accepted = [event.accept(with_id(), writer=sender.name) for _ in range(count)]
    documents = [record.document(msgspec.structs.replace(one, received_at=moment)) for one in accepted]
    dlq.stream.for_drain().park(documents, reason="database-down")
    return moment.date()


def a_day() -> datetime:
    """A day that is this test's own."""
    return datetime.combine(own_days(), time(12), UTC)
