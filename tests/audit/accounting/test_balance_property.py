"""Whatever happens to events, in whatever order: the account is that of a plain Python dictionary."""

import secrets
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import override_settings
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

import dlq.stream
from audit.accounting import balance, queue_counts
from audit.formats import event
from audit.formats.event import Accepted
from audit.ingest import record, rejection_counters
from audit.ingest.rejections import Refusal
from audit.models import Quarantined
from audit.queue import discards, quarantine
from audit.queue import drain as queue_drain
from dlq.message import Message
from dlq.rebuild import rebuild
from tests.audit.completeness.conftest import follow
from tests.audit.conftest import an_event


class Lives(RuleBasedStateMachine):
    """Events of one writer on one day, and where each is."""

    def __init__(self) -> None:
        super().__init__()
        self.writer = f"writer-{secrets.token_hex(4)}"
        self.prefix = override_settings(DLQ_PREFIX=f"test-{secrets.token_hex(6)}")
        self.prefix.enable()
        self.now = datetime.now(UTC)
        self.place: dict[str, str] = {}
        self.events: dict[str, Accepted] = {}
        self.refused = 0

    def new(self, place: str) -> Accepted:
        accepted = event.accept(an_event(), writer=self.writer, now=self.now)
        self.place[str(accepted.id)], self.events[str(accepted.id)] = place, accepted
        return accepted

    def of(self, *places: str) -> list[str]:
        return [key for key, place in self.place.items() if place in places]

    def message(self, key: str) -> Message:
        found = dlq.stream.for_drain().pages.find(key)
        assert found is not None
        return found

    @rule(count=st.integers(1, 4))
    def store(self, count: int) -> None:
        record.store([self.new("direct") for _ in range(count)], timeout_s=20)

    @rule(count=st.integers(1, 4))
    def park(self, count: int) -> None:
        documents = [record.document(self.new("parked")) for _ in range(count)]
        dlq.stream.for_drain().park(documents, reason="database-down")

    @precondition(lambda self: self.of("parked", "dead"))
    @rule(data=st.data())
    def send_again(self, data: Any) -> None:
        key = data.draw(st.sampled_from(self.of("parked", "dead")))
        again = [record.document(self.events[key])]
        assert dlq.stream.for_drain().park(again, reason="database-down").outcomes == ["duplicate"]

    @precondition(lambda self: self.of("direct"))
    @rule(data=st.data())
    def park_what_is_stored(self, data: Any) -> None:
        key = data.draw(st.sampled_from(self.of("direct")))
        dlq.stream.for_drain().park([record.document(self.events[key])], reason="database-down")
        queue_drain.drain()
        self.drained()

    @rule()
    def drain(self) -> None:
        queue_drain.drain()
        self.drained()

    def drained(self) -> None:
        for key in self.of("parked"):
            self.place[key] = "queued"

    @precondition(lambda self: self.of("parked"))
    @rule(data=st.data())
    def die(self, data: Any) -> None:
        key = data.draw(st.sampled_from(self.of("parked")))
        dlq.stream.for_drain().fail(self.message(key), "Poison", "never", dead=True)
        self.place[key] = "dead"

    @precondition(lambda self: self.of("dead"))
    @rule(data=st.data())
    def retry(self, data: Any) -> None:
        key = data.draw(st.sampled_from(self.of("dead")))
        dlq.stream.for_drain().retry_now([self.message(key).id])
        self.place[key] = "parked"

    @precondition(lambda self: self.of("parked", "dead"))
    @rule(data=st.data())
    def quarantine(self, data: Any) -> None:
        key = data.draw(st.sampled_from(self.of("parked", "dead")))
        quarantine.quarantine([self.message(key)], cause="tests", by="ann")
        self.place[key] = "quarantined"

    @precondition(lambda self: self.of("quarantined"))
    @rule(data=st.data())
    def release(self, data: Any) -> None:
        key = data.draw(st.sampled_from(self.of("quarantined")))
        found = Quarantined.objects.filter(key=key).first()
        assert found is not None
        quarantine.release(found, by="ann")
        self.place[key] = "parked"

    @precondition(lambda self: self.of("parked", "dead"))
    @rule(data=st.data())
    def discard(self, data: Any) -> None:
        key = data.draw(st.sampled_from(self.of("parked", "dead")))
        discards.decide(discards.request(self.message(key), reason="tests", by="ann"), approve=True, by="bob")
        self.place[key] = "discarded"

    @rule(count=st.integers(1, 3))
    def refuse(self, count: int) -> None:
        rejection_counters.count(self.writer, [Refusal("unknown field", count)])
        self.refused += count

    @rule()
    def rebuild(self) -> None:
        rebuild(dlq.stream.for_drain())

    @precondition(lambda self: self.of("parked", "dead"))
    @rule()
    def redis_loses_all(self) -> None:
        queue_counts.copy()
        rejection_counters.gather()
        queue = dlq.stream.for_drain()
        for key in queue.redis.scan_iter(f"{queue.keys.stream.rpartition(':')[0]}:*"):
            queue.redis.delete(key)
        for key in self.of("parked", "dead"):
            self.place[key] = "lost"

    def teardown(self) -> None:
        follow()
        queue_counts.copy()
        rejection_counters.gather()
        today = datetime.now(UTC).date()
        found = balance.compute(self.now.date(), today, writer=self.writer)
        assert found.pending == []
        total, places = found.total, Counter(self.place.values())
        assert total.unexplained == 0
        assert total.received == len(self.place) + self.refused
        expected = {name: places[name] for name in ("direct", "queued", "parked", "dead", "quarantined", "discarded")}
        assert {name: getattr(total, name) for name in expected} == expected
        assert (total.rejected, total.lost) == (self.refused, places["lost"])
        self.prefix.disable()


LIFE = settings(max_examples=8, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck))


class TestLives(Lives.TestCase):
    settings = LIFE


@pytest.mark.long
class TestManyLives(Lives.TestCase):
    settings = settings(LIFE, max_examples=100)
