"""What a restored store lacks is named, by those who have it, and shows in the pages."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

import dlq.stream
from audit.formats import receipt
from audit.formats.event import accept
from audit.formats.receipt import Promise
from audit.ingest.record import document
from audit.models import BrokenPromise, Finding, Record
from audit.recovery.check import check
from dlq.authenticity import sign
from dlq.message import Message
from tests.attacks.scene import Scene
from tests.audit.conftest import an_event
from tests.servers import RECEIPT_KEY, SEAL_KEY


@pytest.fixture
def queue_of_its_own(settings: Any) -> None:
    settings.DLQ_PREFIX = f"check-{datetime.now(UTC).timestamp()}"


@pytest.fixture
def restored(elsewhere: Scene, queue_of_its_own: None, settings: Any) -> Iterator[Scene]:
    """A store of 400 records, where anchor and witness have seen 600."""
    elsewhere.restore_early()
    settings.SEAL_ANCHOR_FILE, settings.SEAL_WITNESSES = elsewhere.anchor, [elsewhere.witness]
    yield elsewhere


def receipts_of(events: list[Any], path: Path, *, sealed_by: datetime) -> Path:
    promise = Promise(
        origin=SEAL_KEY.name,
        writer="tests",
        state="stored",
        promised_at=sealed_by - timedelta(minutes=1),
        sealed_by=sealed_by,
        events={str(event.id): event.digest.hex() for event in events},
    )
    path.write_text(receipt.sign(promise, RECEIPT_KEY), encoding="utf-8")
    return path


def test_how_much_of_the_log_is_gone_is_said_and_is_a_finding(restored: Scene) -> None:
    lacks = check(by="olga")
    assert (lacks.size, lacks.known_size, lacks.leaves, lacks.checkpoints) == (400, 600, 200, 2)
    assert (
        len(lacks.ahead) == 1 and "of 600 records is known" in lacks.ahead[0] and lacks.unknown == [] and lacks.anything
    )
    kinds = set(Finding.objects.still_so().values_list("kind", "subject"))
    assert kinds == {("MISSING", "anchor"), ("MISSING", "witness")}
    act = Record.objects.get(event_type="audit.restore.checked", actor_id="olga")
    assert (act.event_outcome, act.event_data["known_size"]) == ("failure", 600)


def test_events_that_a_writer_holds_receipts_for_are_named(restored: Scene, tmp_path: Path) -> None:
    here = Record.objects.first()
    assert here is not None
    lost = [accept(an_event(), writer="tests") for _ in range(3)]
    now = datetime.now(UTC)
    files = [
        receipts_of(lost[:2], tmp_path / "past", sealed_by=now - timedelta(hours=1)),
        receipts_of(lost[2:], tmp_path / "not-due", sealed_by=now + timedelta(hours=1)),
    ]
    lacks = check(files, by="olga")
    assert sorted(lacks.missing) == sorted(str(event.id) for event in lost)
    assert lacks.receipts == 2 and lacks.promised == {"broken promise": 2, "pending": 1}
    assert set(BrokenPromise.objects.filter(closed_at=None).values_list("event_id", flat=True)) == {
        event.id for event in lost[:2]
    }


def test_what_the_queue_keeps_and_the_store_lacks_is_counted(restored: Scene) -> None:
    event = accept(an_event(), writer="tests")
    parked = document(event)
    names = ("key", "digest", "body", "source", "kind", "received_at")
    facts = {name: getattr(parked, name) for name in names}
    dlq.stream.for_drain().kept.keep([Message(id="1-0", reason="x", mac=sign(parked), **facts)])
    lacks = check(by="olga")
    assert lacks.kept is not None and (lacks.kept.kept, lacks.kept.stored) == (1, 1)
    assert not Record.objects.filter(id=event.id).exists()


def test_a_store_that_lacks_nothing_says_so(
    elsewhere: Scene, queue_of_its_own: None, settings: Any, capsys: Any
) -> None:
    settings.SEAL_ANCHOR_FILE, settings.SEAL_WITNESSES = elsewhere.anchor, [elsewhere.witness]
    with pytest.raises(SystemExit) as ended:
        call_command("restore", "check")
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "600 leaves signed here, 600 known outside: 0 are gone" in said
    assert "nothing is known to be lacking" in said


def test_the_command_names_what_is_lacking(restored: Scene, tmp_path: Path, capsys: Any) -> None:
    lost = accept(an_event(), writer="tests")
    file = receipts_of([lost], tmp_path / "receipts", sealed_by=datetime.now(UTC) - timedelta(hours=1))
    with pytest.raises(SystemExit) as ended:
        call_command("restore", "check", str(file))
    assert ended.value.code == 3
    said = capsys.readouterr().out
    assert "400 leaves signed here, 600 known outside: 200 are gone" in said
    assert f"nowhere: {lost.id}" in said and said.endswith("LACKING\n")


def test_a_store_that_nobody_outside_knows_is_not_called_whole(
    elsewhere: Scene, queue_of_its_own: None, settings: Any, capsys: Any
) -> None:
    settings.SEAL_ANCHOR_FILE, settings.SEAL_WITNESSES = None, []
    with pytest.raises(SystemExit) as ended:
        call_command("restore", "check")
    assert ended.value.code == 4
    assert "no anchor and no witness is configured" in capsys.readouterr().out


def test_a_witness_that_is_away_leaves_it_unknown(
    elsewhere: Scene, queue_of_its_own: None, settings: Any, capsys: Any
) -> None:
    settings.SEAL_ANCHOR_FILE = elsewhere.anchor
    settings.SEAL_WITNESSES = [f"http://127.0.0.1:9={elsewhere.witness.partition('=')[2]}"]
    with pytest.raises(SystemExit) as ended:
        call_command("restore", "check")
    assert ended.value.code == 4
    assert "NOT ASKED: witness" in capsys.readouterr().out


def test_a_receipt_file_of_the_api_is_read_as_well(restored: Scene, tmp_path: Path) -> None:
    lost = accept(an_event(), writer="tests")
    signed = receipts_of([lost], tmp_path / "note", sealed_by=datetime.now(UTC) - timedelta(hours=1)).read_text()
    lines = tmp_path / "answers.jsonl"
    lines.write_text(json.dumps({"receipt": signed}) + "\n", encoding="utf-8")
    assert check([lines], by="olga").missing == [str(lost.id)]
