"""drain: nothing leaves the queue before it is stored, whoever else drains, whatever breaks."""

import multiprocessing
import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import redis
from django.conf import settings

from dlq.drain import DatabaseDown, Outcome, drain
from dlq.message import Message
from dlq.stream import Stream
from tests.dlq.conftest import parked

Handler = Callable[[Sequence[Message]], Sequence[Outcome]]


def storing(kept: Counter[str]) -> Handler:
    def handle(messages: Sequence[Message]) -> Sequence[Outcome]:
        kept.update(message.key for message in messages)
        return [Outcome("stored")] * len(messages)

    return handle


def always() -> bool:
    return True


def test_all_that_is_due_is_stored_and_taken_out(stream: Stream) -> None:
    kept: Counter[str] = Counter()
    keys = {message.key for message in parked(stream, 12)}
    summary = drain(storing(kept), probe=always, stream=stream)
    assert kept == dict.fromkeys(keys, 1)
    assert (summary.claimed, summary.stored, summary.remaining) == (12, 12, 0)
    assert "last_drain_at" in stream.activity.beats()


def test_while_the_database_is_down_nothing_is_touched(stream: Stream) -> None:
    before = parked(stream, 3)
    summary = drain(storing(Counter()), probe=lambda: False, stream=stream)
    assert (summary.database_up, summary.claimed, summary.remaining) == (False, 0, 3)
    assert stream.pages.page(limit=9) == before


def test_an_outage_in_between_gives_the_lease_back_and_counts_nothing(stream: Stream) -> None:
    def handle(messages: Sequence[Message]) -> Sequence[Outcome]:
        raise DatabaseDown

    parked(stream, 3)
    numbers_of_all = random.getstate()
    summary = drain(handle, probe=always, stream=stream)
    assert (summary.released, summary.database_up) == (3, False)
    assert random.getstate() == numbers_of_all, "a drain disturbs whoever seeds or draws the numbers of the process"
    assert {(message.state in ("due", "waiting"), message.attempts) for message in stream.pages.page(limit=9)} == {
        (True, 0)
    }


def test_each_outcome_is_acted_on(stream: Stream) -> None:
    outcomes = [Outcome("stored"), Outcome("duplicate"), Outcome("failed", "A", "a"), Outcome("dead", "B", "b")]
    parked(stream, 4)
    summary = drain(lambda messages: outcomes, probe=always, stream=stream)
    assert (summary.stored, summary.duplicate, summary.failed, summary.dead, summary.remaining) == (1, 1, 1, 1, 2)
    assert [(m.state, m.last_error_class) for m in stream.pages.page(limit=9)] == [("waiting", "A"), ("dead", "B")]
    assert stream.totals.stats().balanced


def test_a_handler_that_breaks_on_one_message_stores_the_others(stream: Stream) -> None:
    messages = parked(stream, 5)

    def handle(batch: Sequence[Message]) -> Sequence[Outcome]:
        if messages[2].key in {message.key for message in batch}:
            raise KeyError("poison")
        return [Outcome("stored")] * len(batch)

    summary = drain(handle, probe=always, stream=stream)
    assert (summary.stored, summary.failed) == (4, 1)
    (left,) = stream.pages.page(limit=9)
    assert (left.key, left.last_error_class) == (messages[2].key, "KeyError")


def test_what_cannot_be_prepared_holds_nothing_up(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "DLQ_BATCH", 2)
    messages = parked(stream, 6)

    def break_on_poison(batch: Sequence[Message]) -> None:
        if messages[2].key in {message.key for message in batch}:
            raise KeyError("poison")

    summary = drain(storing(Counter()), probe=always, prepare=break_on_poison, stream=stream)
    assert (summary.stored, summary.remaining, stream.totals.stats().leased) == (6, 0, 0)


def test_a_handler_with_the_wrong_number_of_outcomes_takes_nothing_out(stream: Stream) -> None:
    parked(stream, 3)
    summary = drain(lambda batch: [Outcome("stored")] * 2, probe=always, stream=stream)
    assert (summary.stored, summary.failed, summary.remaining) == (0, 3, 3)


def test_the_limit_holds(stream: Stream) -> None:
    parked(stream, 5)
    assert drain(storing(Counter()), probe=always, stream=stream, limit=2).stored == 2
    assert stream.totals.depth() == 3


def test_stop_ends_after_the_batch_in_hand(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "DLQ_BATCH", 2)
    parked(stream, 6)
    stop = threading.Event()
    summary = drain(storing(Counter()), probe=always, stream=stream, stop=stop, progress=lambda _: stop.set())
    assert (summary.stored, summary.remaining) == (2, 4)
    assert stream.totals.stats().leased == 0


def test_the_next_batch_is_prepared_while_the_handler_is_at_work(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "DLQ_BATCH", 2)
    keys = [message.key for message in parked(stream, 4)]
    prepared: list[str] = []
    is_second_ready = threading.Event()

    def prepare(messages: Sequence[Message]) -> None:
        prepared.extend(message.key for message in messages)
        if len(prepared) == len(keys):
            is_second_ready.set()

    def handle(messages: Sequence[Message]) -> Sequence[Outcome]:
        assert is_second_ready.wait(60)
        return [Outcome("stored")] * len(messages)

    assert drain(handle, probe=always, prepare=prepare, stream=stream).stored == 4
    assert sorted(prepared) == sorted(keys)


def _drain_in_process(url: str, prefix: str, result: Any) -> None:
    import django

    django.setup()
    kept: Counter[str] = Counter()
    drain(storing(kept), probe=always, stream=Stream(redis.Redis.from_url(url), prefix))
    result.put(kept)


@pytest.mark.slow
def test_drainers_side_by_side_share_the_work_and_store_each_message_once(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = set()
    for _ in range(2):
        keys |= {message.key for message in parked(stream, 500)}
    context = multiprocessing.get_context("spawn")
    result = context.Queue()
    arguments = (settings.REDIS_URL, stream.keys.prefix, result)
    processes = [context.Process(target=_drain_in_process, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    kept: Counter[str] = sum((result.get(timeout=60) for _ in processes), Counter())
    for process in processes:
        process.join()
    assert kept == dict.fromkeys(keys, 1)
    assert stream.totals.stats().balanced
    assert stream.totals.depth() == 0


def test_a_pause_stops_a_drain_at_its_next_batch(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "DLQ_BATCH", 10)
    parked(stream, 60)
    kept: Counter[str] = Counter()
    store = storing(kept)

    def handle(messages: Sequence[Message]) -> Sequence[Outcome]:
        if len(kept) == 20:
            stream.activity.pause("somebody")
        return store(messages)

    summary = drain(handle, probe=always, stream=stream)
    assert (summary.stored, summary.remaining, summary.paused) == (30, 30, True)
    assert stream.totals.stats().leased == 0
    stream.activity.resume()
    summary = drain(store, probe=always, stream=stream)
    assert (summary.stored, summary.paused, len(kept)) == (30, False, 60)


def test_a_paused_queue_is_left_alone_and_goes_on_afterwards(stream: Stream) -> None:
    parked(stream, 3)
    stream.activity.pause("somebody")
    kept: Counter[str] = Counter()
    summary = drain(storing(kept), probe=always, stream=stream)
    assert (summary.paused, summary.claimed, summary.remaining) == (True, 0, 3)
    assert not kept
    stream.activity.resume()
    assert drain(storing(kept), probe=always, stream=stream).stored == 3
