"""What an erasure does not reach is named: archives and backups by name, and what waits in the queue by number."""

import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import dlq.stream
from audit.evidence.erasure import elsewhere
from audit.evidence.erasure.elsewhere import Place
from audit.formats.event import accept
from audit.ingest.record import document
from audit.ledger.seal import Sealer
from audit.models import Archive, Backup, Leaf
from audit.recovery import history
from dlq import pages, restore, spool
from tests.audit.conftest import an_event, with_id
from tests.audit.evidence.erasure.conftest import RULES, person, stored
from tests.dlq.conftest import parked


def place(word: str, *ids: Any) -> Place:
    return next(each for each in elsewhere.places(ids) if each.what.startswith(word))


def an_archive(first: int, last: int) -> Archive:
    now = datetime.now(UTC)
    return Archive.objects.create(
        state="ready",
        folder=f"/archives/{secrets.token_hex(6)}",
        first=first,
        last=last,
        checkpoint=1,
        size=last,
        sight=[],
        requested_by="olga",
        requested_at=now,
        updated_at=now,
    )


def test_archives_that_hold_the_records_are_named_and_no_others() -> None:
    row = stored(person(), 1)[0]
    Sealer().once(from_start=True)
    index = Leaf.objects.get(record_id=row.pk).index
    an_archive(0, index)
    an_archive(index + 1, index + 9)
    holds = an_archive(index, index + 1)
    found = place("archives", row.pk)
    assert (found.known, found.names) == (1, (f"archive {holds.pk} in {holds.folder}: 1 of these records",))
    assert place("archives").known == 0


def test_backups_that_were_made_since_are_named() -> None:
    row = stored(person(), 1)[0]
    names = []
    for since in (-timedelta(hours=1), timedelta(seconds=1)):
        at = row.stored_at + since
        names.append(f"backup-{secrets.token_hex(6)}")
        began_at = at - timedelta(minutes=5)
        history.note_backup(Backup(names[-1], began_at, at, 1, 1, manifest="0" * 64, made_by="olga"))
    found = place("backups", row.pk).names
    assert names[1] in found and names[0] not in found


def test_what_waits_in_the_queue_under_the_same_id_is_counted() -> None:
    event = accept(with_id(event_data={"email": person()}), writer="shop", erasing=RULES)
    assert place("events that wait", event.id).known == 0
    queue = dlq.stream.for_drain()
    queue.park([document(event)], reason="tests")
    assert place("events that wait", event.id).known == 1
    message = queue.pages.find(str(event.id))
    assert message is not None
    queue.acknowledge([message], "discarded")


def test_another_event_that_came_under_the_same_id_is_counted_where_it_waits(
    tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The spool had it, while another event with its id was parked: it waits under a key that nobody looks up."""
    event = accept(with_id(event_data={"email": person()}), writer="shop", erasing=RULES)
    other = accept(an_event(event_id=str(event.id), event_data={"email": person()}), writer="shop", erasing=RULES)
    queue = dlq.stream.for_drain()
    queue.park([document(event)], reason="tests")
    settings.DLQ_SPOOL_DIR = tmp_path
    spool.append([document(other)], reason="tests")
    assert place("other events that wait", event.id).known == 0
    [path] = tmp_path.glob("*.spool")
    restore.restore_file(queue, path)
    assert place("other events that wait", event.id).known == 1
    assert place("other events that wait", other.id, accept(with_id(), writer="shop").id).known == 1
    monkeypatch.setattr(elsewhere, "SCANNED_S", -1.0)
    monkeypatch.setattr(pages, "SCAN_BATCH", 1)
    more = parked(queue, 600)  # more than one look of a scan takes
    assert place("other events that wait", event.id).known is None
    both = queue.pages.find_all([str(event.id), f"{other.id}#{other.digest.hex()[:16]}"])
    assert len(both) == 2
    queue.acknowledge([*more, *both.values()], "discarded")
