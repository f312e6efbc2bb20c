"""What leaves the spool counts for whose it was, whatever comes meanwhile."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from auditclient import Config, spool
from auditclient.metrics import Counts
from auditclient.sender import ADOPTED_AT_ONCE, Sender
from auditclient.spool import Segment, Writer


def test_a_file_that_is_begun_while_the_files_are_listed_is_its_writers(
    a_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "SEGMENT_BYTES", 1)  # each event begins a file
    config = a_config()
    config.spool_dir.mkdir()
    writer = Writer(config.spool_dir)

    class Listed(list[Segment]):
        """Files of which the writer begins another as soon as they were listed."""

        def __iter__(self) -> Iterator[Segment]:
            listed = self[:]
            if writer.sequence == 1:
                writer.append(b'{"event_id":"2"}')
            return iter(listed)

    writer.append(b'{"event_id":"1"}')
    writer.segments = Listed(writer.segments)
    sender = Sender(config, [writer], Counts(None), lambda event_id, state: None)
    sender._look_at = float("inf")
    monkeypatch.setattr(sender, "_deliver", lambda bodies: True)
    assert [sender.turn() for _ in range(2)] == [None, None]
    assert (writer.delivered, writer.sequence) == (2, 2)
    sender.close()
    assert writer.close() == 0


def test_of_many_abandoned_files_a_few_are_open_at_a_time_and_all_are_sent_in_order(
    a_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each process that ended in an outage leaves one; the descriptors are needed for the store and the service."""
    config = a_config()
    config.spool_dir.mkdir()
    for number in range(100):
        gone = Writer(config.spool_dir)
        gone.append(b'{"event_id":"%d"}' % number)
        gone.close()
    own = Writer(config.spool_dir)
    own.append(b'{"event_id":"100"}')
    sender = Sender(config, [own], Counts(None), lambda event_id, state: None)
    assert sender.turn(), "the store is away"
    assert len(sender._adopted) == ADOPTED_AT_ONCE == 16
    sent: list[str] = []
    room = [1]

    def deliver(bodies: list[bytes]) -> bool:
        assert len(sender._adopted) <= ADOPTED_AT_ONCE
        if not room[0]:
            return False
        room[0] -= 1
        sent.extend(msgspec.json.decode(body)["event_id"] for body in bodies)
        return True

    monkeypatch.setattr(sender, "_deliver", deliver)
    sender.hurry()
    sender.turn()
    assert len(sent) == 1 and len(sender._adopted) == ADOPTED_AT_ONCE - 1
    sender.turn()
    assert len(sender._adopted) == ADOPTED_AT_ONCE, "the free place is taken at once"
    room[0] = 1000
    assert sender.turn() is None, "one turn, with no pause between those that are open at a time"
    assert sent == [str(number) for number in range(101)]
    assert own.delivered == own.sequence and not sender._adopted
    sender.close()
    assert own.close() == 0 and spool.size(config.spool_dir) == 0


def test_a_look_for_abandoned_files_that_fails_does_not_stop_what_can_be_sent(
    a_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auditclient.sender.ADOPTED_AT_ONCE", 1)
    config = a_config()
    config.spool_dir.mkdir()
    gone, own = Writer(config.spool_dir), Writer(config.spool_dir)
    for writer in (gone, own):
        writer.append(b'{"event_id":"1"}')
    gone.close()
    sender = Sender(config, [own], Counts(None), lambda event_id, state: None)
    monkeypatch.setattr(sender, "_deliver", lambda bodies: True)
    looks = [iter(spool.abandoned(config.spool_dir, set()))]

    def look(folder: Path, own: set[Path]) -> Iterator[Segment]:
        if not looks:
            raise PermissionError
        return looks.pop()

    monkeypatch.setattr(spool, "abandoned", look)
    with pytest.raises(PermissionError):
        sender.turn()
    assert sender.turn() is None and own.delivered == 1
    sender.close()
    assert own.close() == 0
