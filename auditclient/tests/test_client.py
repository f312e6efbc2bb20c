"""While store and queue are away: what `record` returned for is in the spool, and nothing untrue is said."""

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from conftest import an_event

from auditclient import AsyncClient, Client, Closed, Config, InvalidEvent, NotKept, spool
from auditclient.events import EVENT_BYTES_MAX, ID_AND_TIME_BYTES, encode_plain
from auditclient.sender import Sender
from auditclient.spool import Segment

PROCESS = """
import sys
from pathlib import Path
from auditclient import Client, Config, DLQConfig
client = Client(Config(url="http://127.0.0.1:9/api/v1/audit", key="k", spool_dir=Path(sys.argv[1]),
    dlq=DLQConfig(redis_url="redis://127.0.0.1:9/0"), durability=sys.argv[2]))
while True:
    print(client.record({"event_type": "a.b", "correlation_id": "c"}).event_id, flush=True)
"""


@pytest.fixture
def quick_switches() -> Iterator[None]:
    """Have threads take turns a thousand times as often as usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(before)


def lines_in(folder: Path) -> list[bytes]:
    """The events of all files, whoever holds them, in the order of the files."""
    lines = (line for path in sorted(folder.glob("*.spool")) for line in path.read_bytes().split(b"\n")[:-1])
    return [line[9:] for line in lines]


def events_in(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines_in(folder)]


def test_an_event_is_completed_numbered_and_durable_when_record_returns(client: Client) -> None:
    receipt = client.record(an_event(event_data={"amount": 25}))
    assert receipt.state == "spooled"
    (event,) = events_in(client.config.spool_dir)
    assert event["event_id"] == receipt.event_id and UUID(receipt.event_id).version == 7
    assert (event["event_category"], event["event_action"], event["event_outcome"]) == ("shop", "paid", "success")
    assert (event["source_seq"], event["source_epoch"]) == (1, receipt.source_epoch) and receipt.source_seq == 1
    assert all(segment.is_synced() for writer in client._writers for segment in writer.segments)


def test_an_encoded_event_is_kept_as_any_other(client: Client) -> None:
    given = {"version": "1.0", "event_category": "shop", "event_action": "paid", "event_outcome": "success"}
    client.record(an_event(event_data={"amount": "2.50"}))
    encoded = encode_plain(an_event(**given, event_data={"amount": "2.50"}))
    receipt = client.record_encoded(encoded)
    first, second = events_in(client.config.spool_dir)
    assert second["event_id"] == receipt.event_id
    own = ("event_id", "event_timestamp", "source_seq")
    assert first.keys() == second.keys() and all(first.pop(name) < second.pop(name) for name in own)
    assert first == second
    client.close(0.1)
    with pytest.raises(Closed):
        client.record_encoded(encoded)


def test_an_encoded_event_has_room_for_its_id_and_its_time(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[bytes] = []
    monkeypatch.setattr(client, "_record", lambda _id, body, *_: kept.append(body))
    around = len(encode_plain(an_event(text="")))
    body = encode_plain(an_event(text="x" * (EVENT_BYTES_MAX - ID_AND_TIME_BYTES - around)))
    client.record_encoded(body)
    assert [len(each) for each in kept] == [EVENT_BYTES_MAX]
    with pytest.raises(InvalidEvent):
        encode_plain(an_event(text="x" * (EVENT_BYTES_MAX - ID_AND_TIME_BYTES - around + 1)))


def test_flush_and_close_say_what_is_left(client: Client) -> None:
    assert client.flush(0.1) == (True, 0)
    for _ in range(3):
        client.record(an_event())
    assert client.flush(0.2) == (False, 3)
    assert client.close(0.1) == (False, 3) == client.close()
    assert len(events_in(client.config.spool_dir)) == 3
    with pytest.raises(Closed):
        client.record(an_event())


@pytest.mark.parametrize(
    ("event", "says"),
    [
        ({"event_type": "a.b"}, "lacks correlation_id"),
        (an_event(event_data={"x": float("nan")}), "cannot be written as JSON"),
        (an_event(event_data={"x": "\ud800"}), "cannot be written as JSON"),
        (an_event(event_data={"x": object()}), "a object is no JSON"),
        (an_event(source_seq=7), "numbers events itself"),
        (an_event(event_data={"x": "y" * 2**20}), "at most 1,048,576"),
    ],
)
def test_what_is_no_event_is_refused_and_uses_no_number(client: Client, event: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidEvent, match=says):
        client.record(event)
    assert client.pending == 0 and client.record(an_event()).source_seq == 1


def test_a_full_spool_keeps_nothing_and_says_so_with_the_event_to_record_again(
    a_config: Callable[..., Config],
) -> None:
    with Client(a_config(spool_max_mb=1, block_s=0.2)) as client:
        with pytest.raises(NotKept, match="spool is full") as refusal:
            for _ in range(4):
                client.record(an_event(event_data={"x": "y" * 400_000}))
        kept = events_in(client.config.spool_dir)
        assert len(kept) == 2 and client.counts["refused"] == 1
        assert UUID(str(refusal.value.event["event_id"])) not in {UUID(event["event_id"]) for event in kept}


@pytest.fixture
def full(a_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A client with one event in the spool, which takes no more."""
    with Client(a_config(block_s=0.3)) as client:
        client.record(an_event())
        monkeypatch.setattr(client, "_has_room", lambda length: False)
        monkeypatch.setattr(Sender, "waits", False)
        yield client


def test_what_went_past_the_spool_says_nothing_of_what_is_in_it(full: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sender, "direct", lambda sender, body: "stored")
    receipts = [full.record(an_event()) for _ in range(3)]
    assert [(receipt.state, receipt.source_seq) for receipt in receipts] == [
        ("stored", 2),
        ("stored", 3),
        ("stored", 4),
    ]
    assert full.pending == 1 and full.flush(0.1) == (False, 1)


def test_what_went_past_the_spool_is_out_once_all_before_it_is(full: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sender, "direct", lambda sender, body: "stored")
    full.record(an_event())
    (writer,) = full._writers
    assert (writer.out(), writer.sequence) == (0, 2), "the first is in the spool, and a manifest names numbers in order"
    writer.delivered = 1
    assert writer.out() == 2
    monkeypatch.setattr(full, "_has_room", lambda length: True)
    full.record(an_event())
    assert writer.out() == 2


def test_an_event_that_nobody_took_keeps_no_number_after_it_back(full: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sender, "direct", lambda sender, body: "")
    with pytest.raises(NotKept):
        full.record(an_event())
    (writer,) = full._writers
    writer.delivered = 1
    assert (writer.out(), writer.sequence, full.pending) == (2, 2, 0)


def test_an_event_keeps_the_number_with_which_a_tier_was_asked(full: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    def unanswered(_: Sender, body: bytes) -> str:
        asked.append(body)
        monkeypatch.setattr(full, "_has_room", lambda length: len(asked) > 1)
        return ""

    monkeypatch.setattr(Sender, "direct", unanswered)
    assert full.record(an_event()).source_seq == 2
    assert len(asked) == 2 and len({*asked, *lines_in(full.config.spool_dir)[1:]}) == 1
    assert full.record(an_event()).source_seq == 3 and full.pending == 3


def test_a_signal_handler_that_records_while_its_thread_goes_past_the_spool_does_not_wait_for_it(
    full: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def handled(_: Sender, body: bytes) -> str:
        with pytest.raises(NotKept):
            full.record(an_event())
        return "stored"

    monkeypatch.setattr(Sender, "direct", handled)
    assert full.record(an_event()).state == "stored"


def test_what_is_in_the_spool_and_not_on_the_disk_is_not_to_be_recorded_again(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(segment: Segment, end: int) -> None:
        raise OSError(5, "Input/output error")

    client.config = replace(client.config, block_s=0.0)
    monkeypatch.setattr(Segment, "sync", fails)
    with pytest.raises(NotKept, match=r"is in the spool, which is not flushed: .*Input/output error.*leave it so"):
        client.record(an_event())
    monkeypatch.undo()
    assert len(events_in(client.config.spool_dir)) == 1


def test_a_system_that_has_no_thread_left_loses_nothing(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as crowded:
        crowded.setattr(threading.Thread, "start", none_left)
        assert client.record(an_event(), durability="process").state == "spooled"
        assert client._syncer is None
        assert client.flush(0.0).left == 1
    client.record(an_event(), durability="process")
    assert client._thread is not None and client._thread.is_alive()
    assert client._syncer is not None and client._syncer.is_alive()
    assert len(events_in(client.config.spool_dir)) == 2


def test_a_client_closes_where_its_sender_could_never_start(
    a_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", none_left)
    client = Client(a_config())
    client.record(an_event())
    assert client.close(0.0) == (False, 1)


def test_threads_share_flushes_and_get_numbers_without_holes(client: Client) -> None:
    def record() -> None:
        for _ in range(25):
            client.record(an_event())

    threads = [threading.Thread(target=record) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [event["source_seq"] for event in events_in(client.config.spool_dir)] == [*range(1, 201)]


@pytest.mark.parametrize("durability", ["disk", "process"])
def test_threads_that_record_first_at_once_start_a_single_sender(
    a_config: Callable[..., Config], quick_switches: None, durability: str
) -> None:
    before = set(threading.enumerate())
    with Client(a_config(durability=durability)) as client:
        at_once = threading.Barrier(8)

        def record() -> None:
            at_once.wait()
            client.record(an_event())

        threads = [threading.Thread(target=record, name="caller") for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        own = sorted(thread.name for thread in set(threading.enumerate()) - before - set(threads))
        assert own == ["auditclient", "auditclient-sync"][: 1 + (durability == "process")]


def test_who_is_interrupted_while_the_sender_starts_does_not_start_another(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        raise KeyboardInterrupt

    start, senders = threading.Thread.start, []
    monkeypatch.setattr(client, "_send_until_closed", lambda: senders.append(threading.get_ident()) or held.wait(60))
    held = threading.Event()
    with monkeypatch.context() as starting:
        starting.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            client._start()
    client._start()
    assert client._thread is not None
    client._thread.join(60)  # the second finds the first at work, and ends
    held.set()
    assert len(senders) == 1


def test_a_tier_that_failed_is_tried_again_with_a_single_event(client: Client) -> None:
    for _ in range(20):
        client.record(an_event())
    (segment,) = client._writers[0].segments
    sender = Sender(client.config, client._writers, client.counts, lambda event_id, state: None)
    assert len(sender._batch(segment)) == 20
    assert sender.turn() and len(sender._batch(segment)) == 1
    sender.close()


@pytest.mark.parametrize("durability", ["disk", "process"])
def test_kill_9_loses_nothing_that_record_returned_for(tmp_path: Path, durability: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", PROCESS, str(tmp_path), durability], stdout=subprocess.PIPE)
    assert process.stdout is not None
    told = [process.stdout.readline().decode().strip() for _ in range(50)]
    process.kill()
    told += [line.strip() for line in process.stdout.read().decode().splitlines(keepends=True) if line.endswith("\n")]
    process.stdout.close()
    process.wait()
    events = events_in(tmp_path)
    assert set(told) <= {event["event_id"] for event in events}
    (left,) = spool.abandoned(tmp_path, set())
    assert len([*left.lines()]) == len(events)
    left.close(remove=False)


def test_a_forked_child_has_numbers_and_files_of_its_own(client: Client) -> None:
    before = client.record(an_event())
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        receipt = client.record(an_event())
        os.write(writes, f"{receipt.source_epoch} {receipt.source_seq}".encode())
        os._exit(0)
    os.close(writes)
    with os.fdopen(reads) as told:
        epoch, number = told.read().split()
    assert os.waitpid(child, 0)[1] == 0
    assert (epoch != before.source_epoch, number) == (True, "1")
    assert client.record(an_event()).source_seq == 2
    own = {segment.path for writer in client._writers for segment in writer.segments}
    (left,) = spool.abandoned(client.config.spool_dir, own)
    left.close(remove=False)
    assert len(events_in(client.config.spool_dir)) == 3


def test_a_fork_makes_nothing_anew_of_a_client_that_is_closed(client: Client) -> None:
    """Connections take 30 ms to set up, for each client that a process has closed and not yet forgotten."""
    client.close()
    sender = client._sender
    child = os.fork()
    if child == 0:
        os._exit(client._sender is not sender)
    assert os.waitpid(child, 0)[1] == 0


def test_a_signal_handler_records_in_the_middle_of_record(client: Client) -> None:
    """Sooner and later than an event takes, so that one of them meets it, however fast the machine and its disk are."""
    receipts, delays_s = [], itertools.cycle(step / 20_000 for step in range(1, 61))
    before = signal.signal(signal.SIGALRM, lambda *_: receipts.append(client.record(an_event())))
    try:
        until = time.monotonic() + 60
        while len({receipt.source_epoch for receipt in receipts}) < 2 and time.monotonic() < until:
            signal.setitimer(signal.ITIMER_REAL, next(delays_s))
            receipts.append(client.record(an_event()))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len({receipt.source_epoch for receipt in receipts}) > 1, "none came in the middle"
    numbers = {(event["source_epoch"], event["source_seq"]) for event in events_in(client.config.spool_dir)}
    assert {(receipt.source_epoch, receipt.source_seq) for receipt in receipts} == numbers


def test_a_hook_hears_of_counts_and_disturbs_nothing(a_config: Callable[..., Config]) -> None:
    heard: list[tuple[str, int]] = []

    def hook(name: str, amount: int) -> None:
        heard.append((name, amount))
        raise RuntimeError("a hook that is broken")

    with Client(a_config(), metrics=hook) as client:
        client.record(an_event())
    assert ("recorded", 1) in heard


def test_tasks_record_without_waiting_for_the_disk_in_the_loop(a_config: Callable[..., Config]) -> None:
    async def many() -> list[int]:
        async with AsyncClient(a_config()) as client:
            receipts = await asyncio.gather(*(client.record(an_event()) for _ in range(20)))
            assert await client.flush(0.1) == (False, 20)
            return [receipt.source_seq for receipt in receipts]

    assert sorted(asyncio.run(many())) == [*range(1, 21)]


def test_a_forked_child_awaits_threads_of_its_own(a_config: Callable[..., Config]) -> None:
    made = AsyncClient(a_config())

    async def record() -> bool:
        return (await asyncio.wait_for(made.record(an_event()), 60)).state == "spooled"

    assert asyncio.run(record())
    child = os.fork()
    if child == 0:
        os._exit(not asyncio.run(record()))
    assert os.waitpid(child, 0)[1] == 0
    asyncio.run(made.close())
