"""The spool: what was acknowledged is on the disk, and nothing of it vanishes."""

import json
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from dlq import policy, restore, spool
from dlq.errors import Refused
from dlq.message import Document, Message
from dlq.stream import Stream
from tests.dlq.conftest import a_document, parked


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.DLQ_SPOOL_DIR = tmp_path
    return tmp_path


class DocumentStore:
    """Takes what is brought, or refuses."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.calls = 0
        self.refuses = False

    def __call__(self, messages: list[Message]) -> None:
        if self.refuses:
            raise Refused("not now")
        self.calls += 1
        self.messages += messages

    @property
    def keys(self) -> list[str]:
        return [message.key for message in self.messages]


def always() -> bool:
    return True


def parts(stored: Document | Message) -> tuple[object, ...]:
    return stored.key, stored.digest, stored.body, stored.source, stored.kind, stored.received_at


def names(folder: Path, suffix: str) -> list[Path]:
    return sorted(folder.glob(f"*.{suffix}"))


def test_what_was_appended_comes_back_whole_and_in_order(folder: Path) -> None:
    documents = [a_document(body=bytes(range(256))), a_document(), a_document()]
    spool.append(documents[:2], reason="down")
    spool.append(documents[2:], reason="down")
    store = DocumentStore()
    assert spool.size()[0] == 1
    assert spool.empty(store, answers=always) == 3
    assert [*map(parts, store.messages)] == [*map(parts, documents)]
    assert all(message.digest_ok and message.reason == "down" for message in store.messages)
    assert abs((store.messages[0].parked_at - datetime.now(UTC)).total_seconds()) < 60
    assert not list(folder.iterdir()) and spool.size() == (0, 0)


def test_a_file_stays_until_everything_in_it_is_elsewhere(folder: Path) -> None:
    spool.append([a_document("first")], reason="down")
    store = DocumentStore()
    store.refuses = True
    with pytest.raises(Refused):
        spool.empty(store, answers=always)
    spool.append([a_document("second")], reason="down")
    store.refuses = False
    assert spool.empty(store, answers=always) == 2
    assert store.keys == ["first", "second"]


def test_each_line_names_the_hash_of_the_line_before(folder: Path) -> None:
    spool.append([a_document("a"), a_document("b"), a_document("c")], reason="down")
    (path,) = names(folder, "spool")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[2])
    store = DocumentStore()
    assert spool.empty(store, answers=always) == 2
    assert store.keys == ["a", "c"]  # a hole is no reason to leave out the rest
    (damaged,) = names(folder, "damaged")
    reader = spool.Reader(damaged)
    assert len(list(reader)) == 2
    assert reader.damage == ["line 2 does not follow the line before it"]
    assert spool.empty(store, answers=always) == 0  # once is enough; a person looks at the file


def test_what_cannot_be_read_is_left_for_a_person_and_the_rest_is_brought(folder: Path) -> None:
    spool.append([a_document("a")], reason="down")
    (path,) = names(folder, "spool")
    path.write_bytes(path.read_bytes() + b"{}\nnot json\n[]\n")
    store = DocumentStore()
    assert spool.empty(store, answers=always) == 1
    reader = spool.Reader(names(folder, "damaged")[0])
    assert len(list(reader)) == 1 and len(reader.damage) == 3
    assert reader.damage[1].startswith("line 3 cannot be read")


DEEP = b"[" * 100_000 + b"]" * 100_000
UNREADABLE = {
    "a time beyond all": (b"received_at", b"9999999999999999999"),
    "a time of too many digits": (b"received_at", b"9" * 4000),
    "an endless time of parking": (b"at", b"Infinity"),
    "a time of parking before 1970": (b"at", b"-1"),
    "nested too deeply": (b"beside", DEEP),
    "a key that is a number": (b"key", b"1"),
    "a key that cannot be written": (b"key", rb'"\ud800"'),
    "a source that is a list": (b"source", b"[]"),
    "a kind that is nothing": (b"kind", b"null"),
    "a reason that is a number": (b"reason", b"1"),
    "endless attempts": (b"attempts", b"Infinity"),
    "errors that are no list": (b"errors", b"1"),
}


@pytest.mark.parametrize(("field", "value"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_line_with_a_part_that_cannot_be_read_keeps_no_other_back(folder: Path, field: bytes, value: bytes) -> None:
    spool.append([a_document("a")], reason="down")
    (path,) = names(folder, "spool")
    sound = path.read_bytes()
    # The last of two fields with one name is what JSON gives.
    path.write_bytes(sound[:-2] + b',"' + field + b'":' + value + b"}\n")
    path.rename(folder / "0.closed")
    (folder / "1.closed").write_bytes(sound)
    store = DocumentStore()
    assert spool.empty(store, answers=always) == 1
    assert store.keys == ["a"] and store.messages[0].age < 3600
    assert [path.name for path in folder.iterdir()] == ["0.damaged"]


def test_a_line_that_was_torn_by_a_crash_was_never_acknowledged(folder: Path) -> None:
    spool.append([a_document("a")], reason="down")
    (path,) = names(folder, "spool")
    path.write_bytes(path.read_bytes() + b'{"previous":"')
    store = DocumentStore()
    assert spool.empty(store, answers=always) == 1
    assert not list(folder.iterdir())


def test_a_full_spool_refuses_and_keeps_what_it_has(folder: Path, settings: Any) -> None:
    spool.append([a_document("a")], reason="down")
    settings.DLQ_SPOOL_MAX_MB = 0
    assert not spool.has_room()
    with pytest.raises(Refused, match="full"):
        spool.append([a_document("b")], reason="down")
    settings.DLQ_SPOOL_MAX_MB = 1
    spool.append([a_document("c")], reason="down")
    store = DocumentStore()
    spool.empty(store, answers=always)
    assert store.keys == ["a", "c"]


def test_half_a_write_is_taken_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool.append([a_document("a")], reason="down")

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(Refused, match="OSError"):
            spool.append([a_document("b")], reason="down")
    spool.append([a_document("c")], reason="down")
    store = DocumentStore()
    assert spool.empty(store, answers=always) == 2
    assert store.keys == ["a", "c"]
    assert not names(folder, "damaged")


def test_while_nobody_answers_no_file_is_closed_and_no_folder_is_counted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A watcher that looks each half second for two minutes of a double outage."""
    counts, count = [], spool.size
    monkeypatch.setattr(spool, "size", lambda: counts.append(1) or count())
    monkeypatch.setattr(spool, "RECOUNT_S", 3600.0)
    store = DocumentStore()
    for turn in range(240):
        spool.append([a_document(f"{turn:03}")], reason="down")
        assert spool.empty(store, answers=lambda: False) == 0
    assert len(names(folder, "spool")) == 1 and len(list(folder.iterdir())) == 1
    assert len(counts) == 1
    assert spool.empty(store, answers=lambda: True) == 240
    assert store.keys == [f"{turn:03}" for turn in range(240)]
    assert store.calls == -(-240 // settings.DLQ_BATCH)
    assert not list(folder.iterdir())


def test_the_folder_is_counted_again_after_a_while(
    folder: Path, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setattr(spool, "RECOUNT_S", 0.0)
    monkeypatch.setattr(spool, "RECOUNT_COSTS", 0.0)
    settings.DLQ_SPOOL_MAX_MB = 1
    spool.append([a_document("a")], reason="down")
    (folder / "of-another-process.closed").write_bytes(bytes(2**20))
    with pytest.raises(Refused, match="full"):
        spool.append([a_document("b")], reason="down")


def test_what_a_process_writes_itself_counts_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setattr(spool, "RECOUNT_S", 3600.0)
    settings.DLQ_SPOOL_MAX_MB = 1
    with pytest.raises(Refused, match="full"):
        for _ in range(20):
            spool.append([a_document(body=bytes(100_000))], reason="down")
    assert 900_000 < spool.size()[1] <= 2**20


def test_nobody_is_asked_while_no_file_waits(folder: Path) -> None:
    asked: list[bool] = []
    assert spool.empty(DocumentStore(), answers=lambda: asked.append(True) is None) == 0
    assert not asked


def test_without_a_folder_it_refuses(settings: Any, tmp_path: Path) -> None:
    settings.DLQ_SPOOL_DIR = tmp_path / "missing"
    with pytest.raises(Refused):
        spool.append([a_document()], reason="down")
    assert not spool.has_room()
    settings.DLQ_SPOOL_DIR = None
    with pytest.raises(Refused, match="DLQ_SPOOL_DIR"):
        spool.append([a_document()], reason="down")
    assert spool.empty(DocumentStore(), answers=always) == 0


def test_a_file_in_the_hands_of_another_drain_is_left_to_it(folder: Path) -> None:
    spool.append([a_document("a")], reason="down")
    seen: list[int] = []

    def bring(messages: list[Message]) -> None:
        seen.append(spool.empty(DocumentStore(), answers=always))

    assert spool.empty(bring, answers=always) == 1
    assert seen == [0]


@pytest.mark.slow
def test_threads_write_beside_a_drain_and_nothing_is_lost(folder: Path) -> None:
    store, written, done = DocumentStore(), [], threading.Event()

    def write(name: str) -> None:
        for n in range(60):
            spool.append([a_document(f"{name}-{n}")], reason="down")
            written.append(f"{name}-{n}")

    def drain() -> None:
        while not done.is_set():
            spool.empty(store, answers=always)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    drainer = threading.Thread(target=drain)
    for thread in (*threads, drainer):
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    drainer.join()
    spool.empty(store, answers=always)
    assert sorted(store.keys) == sorted(written) and len(written) == 240
    assert not list(folder.iterdir())


WRITE_FOR_EVER = """
import django, sys
django.setup()
from dlq import spool
from tests.dlq.conftest import a_document
n = 0
while True:
    spool.append([a_document(f"{sys.argv[1]}-{n}") for n in (n, n + 1)], reason="down")
    print(f"{sys.argv[1]}-{n}", f"{sys.argv[1]}-{n + 1}", flush=True)
    n += 2
"""


@pytest.mark.slow
def test_kill_9_of_writers_loses_nothing_that_was_acknowledged(folder: Path) -> None:
    promised: set[str] = set()
    for turn in range(2):
        with subprocess.Popen(
            [sys.executable, "-c", WRITE_FOR_EVER, f"w{turn}"],
            env={**os.environ, "DLQ_SPOOL_DIR": str(folder)},
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            for _ in range(60 + turn):
                promised |= set(process.stdout.readline().split())
            process.send_signal(signal.SIGKILL)
            promised |= {word for line in process.stdout if line.endswith("\n") for word in line.split()}
    store = DocumentStore()
    spool.empty(store, answers=always)
    assert len(promised) >= 200 and promised <= set(store.keys)
    assert not list(folder.iterdir())


def test_what_waits_for_seven_days_is_copied_once_and_stays(
    folder: Path, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = parked(stream, 3)[0]
    stream.fail(message, "DataError", "the first attempt")
    assert spool.keep_old(stream) == 0
    monkeypatch.setattr(policy, "LONGEST_WAIT_S", -1.0)
    assert spool.keep_old(stream) == 3
    assert spool.keep_old(stream) == 0
    parked(stream)
    assert spool.keep_old(stream) == 1
    assert stream.totals.depth() == 4
    copies = [copy for path in names(folder, "kept") for copy in spool.Reader(path)]
    assert [copy.key for copy in copies] == [message.key for message in stream.pages.page(limit=9)]
    assert copies[0].errors[0]["error"] == "the first attempt" and copies[0].attempts == 1
    assert copies[0].parked_at == message.parked_at
    assert spool.empty(DocumentStore(), answers=always) == 0
    assert len(names(folder, "kept")) == 2  # nothing removes copies
    assert spool.size() == (0, 0)


def test_a_file_of_copies_brings_a_lost_queue_back(
    folder: Path, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = parked(stream, 3)
    monkeypatch.setattr(policy, "LONGEST_WAIT_S", -1.0)
    spool.keep_old(stream)
    (path,) = names(folder, "kept")
    stream.acknowledge(messages[:2], "discarded")
    assert restore.restore_file(stream, path) == (3, [])
    assert sorted(message.key for message in stream.pages.page(limit=9)) == sorted(message.key for message in messages)
    assert stream.totals.stats().balanced


def test_two_documents_acknowledged_under_one_id_are_both_kept(stream: Stream) -> None:
    """Nobody could compare them while both servers were away."""
    spool.append([a_document("one", b"{}"), a_document("other")], reason="down")
    stream.park([a_document("one", b'{"a":1}')], reason="down")
    for _ in range(2):  # a crash between bringing and removing brings them twice
        (path,) = [*names(Path(str(spool._folder())), "spool"), *names(Path(str(spool._folder())), "closed")]
        restore.restore_file(stream, path)
    messages = stream.pages.page(limit=9)
    by_id = {message.key.partition("#")[0]: message for message in messages}
    assert len(messages) == 3
    assert by_id["other"].digest_ok and json.loads(by_id["one"].body) in ({}, {"a": 1})
    assert {message.body for message in messages if message.key.startswith("one")} == {b"{}", b'{"a":1}'}
