"""What is appended is read again, whole and in order, whatever happened to its file or its process."""

import fcntl
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from auditclient import spool
from auditclient.errors import Closed
from auditclient.spool import Segment, Writer

FIRST, THIRD = b'{"a":1}', b'{"a":3}'


def bodies(segment: Segment) -> list[bytes | None]:
    return [line.body for line in segment.lines()]


def test_each_event_gets_the_next_number_of_its_epoch(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    first, second = writer.append(b'{"a":1}'), writer.append(b'{"a":2}')
    assert (first.number, second.number) == (1, 2) and first.segment is second.segment
    first.segment.sync(second.end)
    assert first.segment.is_synced()
    assert bodies(first.segment) == [
        b'{"a":%d,"source_seq":%d,"source_epoch":"%b"}' % (number, number, writer.epoch.encode()) for number in (1, 2)
    ]


def test_half_a_line_was_never_promised_and_what_is_damaged_is_told(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    segment = writer.append(b'{"a":1}').segment
    writer.append(b'{"a":2}')
    content = segment.path.read_bytes().replace(b'"a":1', b'"a":7') + b'00000000 {"half'
    segment.path.write_bytes(content)
    damaged, whole = segment.lines()
    assert damaged.body is None and b'"a":7' in damaged.raw
    assert whole.body is not None and b'"a":2' in whole.body


def test_a_file_is_emptied_once_all_of_it_was_shipped_and_grows_again(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    appended = writer.append(b'{"a":1}')
    segment = appended.segment
    writer.let_go(segment)
    assert len(bodies(segment)) == 1, "it was not shipped"
    segment.shipped = appended.end
    writer.let_go(segment)
    assert segment.path.stat().st_size == 0
    last = writer.append(b'{"a":2}')
    segment.sync(last.end)
    assert last.number == 2 and len(bodies(segment)) == 1
    assert writer.close() == 1 and segment.path.exists()
    with pytest.raises(Closed):
        writer.append(b"{}")


def test_a_full_file_is_followed_by_another_and_removed_when_it_was_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "SEGMENT_BYTES", 50)
    writer = Writer(tmp_path)
    first, second = writer.append(b'{"a":1}'), writer.append(b'{"a":2}')
    assert first.segment is not second.segment
    first.segment.shipped = first.end
    writer.let_go(first.segment)
    assert not first.segment.path.exists() and writer.segments == [second.segment]


def test_only_what_nobody_holds_is_taken_over(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    held = writer.append(b'{"a":1}').segment
    assert list(spool.abandoned(tmp_path, set())) == []
    writer.close()
    (taken,) = spool.abandoned(tmp_path, set())
    assert taken.path == held.path and len(bodies(taken)) == 1
    assert list(spool.abandoned(tmp_path, set())) == []
    taken.close(remove=True)
    assert spool.size(tmp_path) == 0


def test_a_file_that_cannot_be_opened_keeps_none_back_and_is_told(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    path = writer.append(b'{"a":1}').segment.path
    writer.close()
    (tmp_path / f"0{spool.SUFFIX}").mkdir()  # older by its name than all that is there
    looked = spool.abandoned(tmp_path, set())
    taken = next(looked)
    assert taken.path == path
    with pytest.raises(IsADirectoryError):
        next(looked)
    taken.close(remove=True)


def test_a_line_that_the_disk_did_not_take_leaves_no_trace(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    segment = writer.append(b'{"a":1}').segment
    size = segment.size
    # The kernel takes a part of the next line, and then no more.
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            writer.append(b'{"a":2}')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert segment.path.stat().st_size == size
    assert writer.append(b'{"a":3}').number == 2
    assert len(bodies(segment)) == 2


@pytest.mark.parametrize("is_removed", [True, False])
def test_a_new_file_that_another_took_over_before_it_was_locked_gets_no_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_removed: bool
) -> None:
    """To whoever looks for files of processes that are gone it is one: empty, so it is removed."""
    lock, acts = fcntl.flock, [lambda: spool.abandoned(tmp_path, set())]
    taken: list[Segment] = []

    def late(descriptor: int, operation: int) -> None:
        if acts:
            taken.extend(acts.pop()())
            if is_removed:
                taken[0].close(remove=True)
        lock(descriptor, operation)

    monkeypatch.setattr(spool.fcntl, "flock", late)
    appended = Writer(tmp_path).append(b'{"a":1}')
    assert len(taken) == 1 and appended.segment.path != taken[0].path
    assert appended.segment.path.read_bytes().count(b"\n") == 1


def interrupt_after(call: str, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], object]) -> None:
    """Let a signal's handler raise after the next such call of the kernel, and another thread run before that."""
    usual = getattr(os, call)

    def interrupted(*arguments: object) -> None:
        monkeypatch.setattr(os, call, usual)
        usual(*arguments)
        meanwhile()
        raise KeyboardInterrupt

    monkeypatch.setattr(spool.os, call, interrupted)


class Unadvanced(Segment):
    """A segment of which `written` is interrupted once before it advances."""

    position = 0
    is_interrupted = False

    @property
    def written(self) -> int:
        return self.position

    @written.setter
    def written(self, position: int) -> None:
        if self.is_interrupted:
            self.is_interrupted = False
            raise KeyboardInterrupt
        self.position = position


def ship(segment: Segment) -> list[bytes | None]:
    """Read all that there is, as the sender does."""
    lines = list(segment.lines())
    segment.shipped = lines[-1].end if lines else segment.shipped
    return [line.body for line in lines]


def test_a_line_whose_append_is_interrupted_is_not_read_and_what_follows_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(tmp_path)
    first = writer.append(FIRST)
    shipped: list[bytes | None] = []
    interrupt_after("write", monkeypatch, lambda: shipped.extend(ship(first.segment)))
    with pytest.raises(KeyboardInterrupt):
        writer.append(b'{"a":2}')
    assert shipped == [writer.numbered(FIRST, 1)], "the number of the second goes to the third"
    third = writer.append(THIRD)
    writer.let_go(third.segment)
    assert ship(third.segment) == [writer.numbered(THIRD, 2)] and third.number == 2
    writer.let_go(third.segment)
    assert writer.close() == 0


def test_an_interruption_right_after_the_write_leaves_no_line_behind(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    segment = Unadvanced.create(tmp_path)
    assert isinstance(segment, Unadvanced)
    writer.segments.append(segment)
    first = writer.append(FIRST)
    segment.is_interrupted = True
    with pytest.raises(KeyboardInterrupt):
        writer.append(b'{"a":2}')
    assert segment.path.stat().st_size == segment.size
    third = writer.append(THIRD)
    assert [body for each in writer.segments for body in bodies(each)] == [
        writer.numbered(FIRST, 1),
        writer.numbered(THIRD, 2),
    ]
    assert writer.close() == len({first.segment, third.segment})


def test_a_line_that_could_not_be_cut_off_is_not_read_and_nothing_follows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(tmp_path)
    first = writer.append(FIRST)
    cut = os.ftruncate

    def refuse(descriptor: int, size: int) -> None:
        raise OSError("the disk refuses")

    monkeypatch.setattr(spool.os, "ftruncate", refuse)
    interrupt_after("write", monkeypatch, lambda: None)
    with pytest.raises(KeyboardInterrupt):
        writer.append(b'{"a":2}')
    monkeypatch.setattr(spool.os, "ftruncate", cut)
    third = writer.append(THIRD)
    assert third.segment is not first.segment and third.number == 2
    assert bodies(first.segment) == [writer.numbered(FIRST, 1)]
    assert writer.close() == 2
    left = list(spool.abandoned(tmp_path, set()))
    assert [body for each in left for body in bodies(each)] == [writer.numbered(FIRST, 1), writer.numbered(THIRD, 2)], (
        "cut off when it was let go"
    )
    for each in left:
        each.close(remove=True)


def test_a_second_interruption_while_a_line_is_cut_off_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(tmp_path)
    first = writer.append(FIRST)
    interrupt_after("write", monkeypatch, lambda: None)
    interrupt_after("ftruncate", monkeypatch, lambda: None)
    with pytest.raises(KeyboardInterrupt):
        writer.append(b'{"a":2}')
    writer.append(THIRD)
    assert [body for each in writer.segments for body in ship(each)] == [
        writer.numbered(FIRST, 1),
        writer.numbered(THIRD, 2),
    ]
    writer.let_go(first.segment)
    assert writer.close() == 0
