"""What leaves the spool counts for whose it was, whatever comes meanwhile."""

from collections.abc import Callable, Iterator

import pytest

from auditclient import Config, spool
from auditclient.metrics import Counts
from auditclient.sender import Sender
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
