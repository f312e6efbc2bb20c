"""The sealer as a service, its courier, witnesses and anchor."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError
from django.test import override_settings

from audit import tasks
from audit.errors import LogDamaged
from audit.formats import note
from audit.formats.event import Accepted
from audit.formats.note import Signer
from audit.ledger import anchor, keys, publish, reader, seal, verify, witnesses
from audit.ledger.witness_server import Witness, serve
from audit.models import Checkpoint, Leaf, OutboxAlarm
from audit.postgres.gateway import gateway
from bench.load import wait_until
from tests.attacks.scene import Scene
from tests.audit.conftest import send


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[str]:
    found = Witness.create(tmp_path / "w", "w.example", keys.load().verifiers)
    server = serve(found, "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}={found.verifier}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_checkpoint_carries_the_cosignatures_of_its_witnesses(witness: str, tmp_path: Path) -> None:
    with override_settings(SEAL_WITNESSES=[witness], SEAL_ANCHOR_FILE=tmp_path / "a.jsonl", SEAL_ANCHOR_S=0):
        courier = publish.Publisher()
        for _ in range(3):
            (accepted,) = send(1)
            head = seal.Sealer().once().checkpoint
            assert head is not None
            assert courier.publish(head) == []
        (asked,) = witnesses.witnesses()
        text = reader.full_note(head, "default")
        assert len(note.verify(text, [asked.verifier])[1]) == 1
        assert reader.evidence(accepted.id).proof.note == text
        assert [found.note for found in anchor.anchored()][-1] == text
        run = verify.verify("range", first=head.size - 1)
        assert run.verdict == "VERIFIED"
        assert (run.counts["witnesses"], run.counts["cosignatures"] >= 1) == (1, True)


def test_a_witness_that_has_seen_more_is_not_believed_silently(witness: str, elsewhere: Scene) -> None:
    with elsewhere.outside(witness=True):
        complaints = publish.Publisher().publish(Checkpoint.objects.get(number=5))
        assert complaints == []
        elsewhere.restore_early()
        send(3)
        with pytest.raises(LogDamaged, match="of 600 records is known"):
            seal.Sealer().once()
        with elsewhere.outside():  # by a sealer that does not know of the witness
            head = seal.Sealer().once().checkpoint
        assert head is not None
        (complaint,) = publish.Publisher().publish(head)
        assert "has seen 600 records, more than there are" in complaint


def test_a_witness_that_is_away_delays_nothing(tmp_path: Path) -> None:
    dead = f"http://127.0.0.1:9=w.example+{Signer('w.example', bytes(32)).verifier.as_cosigner().id.hex()}+"
    dead += str(Signer("w.example", bytes(32)).verifier.as_cosigner()).rsplit("+", 1)[1]
    with override_settings(SEAL_WITNESSES=[dead]):
        head = seal.Sealer().once(sign_anyway=True).checkpoint
        assert head is not None
        (complaint,) = publish.Publisher().publish(head)
        assert "did not answer" in complaint


def test_an_anchor_in_a_folder_is_a_file_a_checkpoint_and_never_overwritten(tmp_path: Path) -> None:
    with override_settings(SEAL_ANCHOR_DIR=tmp_path, SEAL_ANCHOR_S=0):
        head = seal.Sealer().once(sign_anyway=True).checkpoint
        assert head is not None
        for _ in range(2):
            assert publish.Publisher().publish(head) == []
        (file,) = tmp_path.glob("*/*")
        day = f"{head.created_at:%Y-%m-%d}"
        assert str(file.relative_to(tmp_path)) == f"{day}/{head.size:020d}-{head.number:012d}.checkpoint"
        assert file.read_text() == head.note
        assert anchor.last_anchored() == note.TreeHead.parse(note.split(head.note)[0])


def is_sealed(accepted: Accepted) -> bool:
    return Leaf.objects.filter(record_id=accepted.id).exists()


@contextmanager
def service() -> Iterator[threading.Thread]:
    """The sealer as a service in a thread, which is stopped in the end."""
    stop = threading.Event()
    thread = threading.Thread(target=publish.follow, args=(stop,))
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        thread.join(timeout=60)


def test_the_service_seals_until_it_is_stopped() -> None:
    with service() as thread:
        (accepted,) = send(1)
        wait_until(lambda: is_sealed(accepted), seconds=60, what="the leaf")
    assert not thread.is_alive()


@pytest.mark.slow
def test_the_service_survives_an_outage_of_postgresql(postgres: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted, once = threading.Event(), seal.Sealer.once

    def noted(self: seal.Sealer, **options: Any) -> seal.Sealed:
        try:
            return once(self, **options)
        except DatabaseError:
            interrupted.set()
            raise

    monkeypatch.setattr(seal.Sealer, "once", noted)
    with service():
        with postgres.stopped():
            assert interrupted.wait(60)
        assert gateway().breaker.wait_closed(20)
        (accepted,) = send(1)
        wait_until(lambda: is_sealed(accepted), seconds=60, what="the leaf")


def test_a_refusal_to_seal_raises_the_alarm_once(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    stop = threading.Event()

    def tell(name: str, text: str, **figures: Any) -> bool:
        told.extend([text] if name == "audit.seal" else [])  # others may have alarms that nobody heard
        return True

    monkeypatch.setattr("dlq.alarm.tell", tell)
    monkeypatch.setattr(publish, "TROUBLE_PAUSE_S", 0.01)

    def refuse(self: Any, **options: Any) -> Any:
        if len(told) > 1 or stop.wait(0.02):
            stop.set()
        refuse.count += 1  # type: ignore[attr-defined]
        if refuse.count == 5:  # type: ignore[attr-defined]
            stop.set()
        raise LogDamaged

    refuse.count = 0  # type: ignore[attr-defined]
    OutboxAlarm.objects.filter(alarm="audit.seal").delete()  # what other tests told within the hour
    monkeypatch.setattr(seal.Sealer, "once", refuse)
    publish.follow(stop)
    assert refuse.count == 5  # type: ignore[attr-defined]
    assert len(told) == 1
    assert "refuses to sign" in told[0]
    stop.clear()
    refuse.count = 3  # type: ignore[attr-defined]
    publish.follow(stop)  # started anew, as by a supervisor
    assert len(told) == 1


def test_the_schedule_seals_as_a_safety_net() -> None:
    events = send(2)
    assert tasks.seal().endswith("records sealed")
    assert Leaf.objects.filter(record_id__in=[accepted.id for accepted in events]).count() == 2


def test_the_command_seals_all_and_says_what_it_did(elsewhere: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    send(2)
    call_command("seal")
    assert "records sealed; checkpoint" in capsys.readouterr().out
    call_command("seal", "--sign")
    assert capsys.readouterr().out.startswith("0 records sealed")
