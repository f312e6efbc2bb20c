"""Sealing: every record once, in one dense log, whatever happens to the sealer."""

import os
import random
import signal
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connections
from django.test import override_settings

from audit import event, log, merkle, note, outside, seal, sealing, sealkeys, tasks, verify
from audit.errors import KeyMissing, LogDamaged
from audit.models import Checkpoint, Leaf, Record
from audit.note import Signer
from audit.postgres import gateway
from audit.record import store
from audit.witness import Witness, serve
from tests.attacks.scene import Scene
from tests.audit.conftest import Sender, an_event


def send(count: int) -> list[event.Accepted]:
    accepted = [event.accept(an_event(), writer="tests") for _ in range(count)]
    store(accepted, timeout_s=20)
    return accepted


def one(statement: str, *parameters: Any) -> Any:
    with connections["owner"].cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchone()[0]


@pytest.fixture
def empty_queue() -> None:
    while seal.Sealer().once().more:
        pass


@pytest.fixture
def elsewhere(postgres: Any, tmp_path: Path) -> Iterator[Scene]:
    """A database of its own, for what would spoil the log of the others."""
    scene = Scene(postgres.url(), tmp_path)
    try:
        scene.build()
        with scene.outside(), scene.fresh():
            yield scene
    finally:
        scene.stop()


def test_a_stored_record_is_sealed_by_the_next_pass(writer: Sender) -> None:
    document = an_event()
    assert writer.post(document).status_code == 201
    record = Record.objects.get(correlation_id=document["correlation_id"])
    assert record.state == "stored"
    assert seal.Sealer().once().signed
    assert Record.objects.get(id=record.id).state == "sealed"
    evidence = log.evidence(record.id)
    text, signed = note.verify(evidence.proof.note, sealkeys.load().all_verifiers)
    assert [found.verifier.kind for found in signed] == [note.ED25519, note.COSIGNATURE]
    head = note.Checkpoint.parse(text)
    leaf = bytes(evidence.leaf.leaf_hash)
    merkle.verify_inclusion(leaf, evidence.leaf.index, head.size, evidence.proof.hashes, head.root)


def test_leaves_follow_each_other_in_the_order_of_storage(empty_queue: None) -> None:
    start = one("SELECT coalesce(max(index) + 1, 0) FROM audit_leaf")
    events = [*send(3), *send(2)]
    seal.Sealer().once()
    leaves = Leaf.objects.filter(index__gte=start).order_by("index").values_list("index", "record_id")
    assert list(leaves) == [(start + place, found.id) for place, found in enumerate(events)]


def test_a_backlog_is_sealed_in_batches(empty_queue: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal, "BATCH", 100)
    send(250)
    sealer = seal.Sealer()
    passes = [sealer.once() for _ in range(3)]
    assert [(found.added, found.more) for found in passes] == [(100, True), (100, True), (50, False)]
    assert verify.verify().verdict == "VERIFIED"


def test_the_whole_queue_is_looked_at_now_and_then_and_on_demand(
    superuser: psycopg.Connection[Any], empty_queue: None
) -> None:
    """Vacuum makes room before the place where the sealer left off, and new rows land there."""
    sealer = seal.Sealer()
    send(300)
    sealer.once()
    sealer._full_scan_at = float("inf")
    superuser.execute("VACUUM audit_unsealed")
    send(2)
    sealer._block = 10_000
    assert sealer.once().added == 0
    assert sealer.once(from_start=True).added == 2


def test_a_replay_is_not_sealed_twice(empty_queue: None) -> None:
    events = send(3)
    store(events, timeout_s=5)
    assert seal.Sealer().once().added == 3
    store(events, timeout_s=5)
    assert seal.Sealer().once().added == 0


def test_nothing_new_is_not_signed_until_an_hour_was_silent(empty_queue: None, monkeypatch: pytest.MonkeyPatch) -> None:
    sealer = seal.Sealer()
    sealer.once(sign_anyway=True)
    before = Checkpoint.objects.count()
    assert not sealer.once().signed
    assert Checkpoint.objects.count() == before
    with override_settings(SEAL_IDLE_S=0):
        assert sealer.once().signed
    newest, previous = Checkpoint.objects.all()[:2]
    assert (newest.number, newest.size) == (previous.number + 1, previous.size)
    assert newest.created_at > previous.created_at


def test_silence_is_signed_with_its_time(empty_queue: None) -> None:
    head = seal.Sealer().once(sign_anyway=True).checkpoint
    assert head is not None
    moments = [found.moment for found in note.verify(head.note, sealkeys.load().all_verifiers)[1]]
    assert abs((moments[1] or 0) - datetime.now(UTC).timestamp()) < 60


def test_the_logs_time_does_not_turn_around_with_the_clock(empty_queue: None, monkeypatch: pytest.MonkeyPatch) -> None:
    before = seal.Sealer().once(sign_anyway=True).checkpoint

    class Yesterday(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) - timedelta(days=1)

    monkeypatch.setattr(seal, "datetime", Yesterday)
    after = seal.Sealer().once(sign_anyway=True).checkpoint
    assert before is not None
    assert after is not None
    assert after.created_at >= before.created_at


def test_one_sealer_at_a_time(superuser: psycopg.Connection[Any]) -> None:
    send(1)
    with superuser.transaction():
        superuser.execute("SELECT pg_advisory_xact_lock(hashtext('audit_seal'))")
        assert seal.Sealer().once() == seal.Sealed(None)
    assert seal.Sealer().once().added >= 1


def test_two_sealers_turn_about_make_one_log(empty_queue: None) -> None:
    sealers = [seal.Sealer(), seal.Sealer()]
    for turn in range(6):
        send(2)
        assert sealers[turn % 2].once().added == 2
    assert verify.verify().verdict == "VERIFIED"


def test_a_record_that_commits_late_is_sealed_late_and_nothing_is_skipped(
    superuser: psycopg.Connection[Any], empty_queue: None
) -> None:
    """The queue rows of a transaction that began earlier show up before those that were sealed already."""
    slow, fast = (event.accept(an_event(), writer="tests") for _ in range(2))
    sealer = seal.Sealer()
    with gateway().connection(10) as connection, connection.transaction():
        from audit.record import _insert

        _insert(connection, [slow], None)
        threading.Thread(target=store, args=([fast],), kwargs={"timeout_s": 10}).start()
        while not Record.objects.filter(id=fast.id).exists():
            pass
        assert sealer.once().added == 1
    sealer._full_scan_at = 0  # a quarter of a second later
    assert sealer.once().added == 1
    indexes = [Leaf.objects.get(record_id=found.id).index for found in (fast, slow)]
    assert indexes == sorted(indexes)


def test_records_put_into_the_queue_again_are_dropped_and_recorded(
    superuser: psycopg.Connection[Any], empty_queue: None
) -> None:
    (accepted,) = send(1)
    seal.Sealer().once()
    sealer = seal.Sealer()
    sealer.once()
    superuser.execute(
        "INSERT INTO audit_unsealed SELECT record_id, leaf_hash, now() FROM audit_leaf WHERE record_id = %s",
        [accepted.id],
    )
    fresh = send(2)
    assert sealer.once().added >= 2
    sealer.once()
    assert all(Leaf.objects.filter(record_id=found.id).count() == 1 for found in fresh)
    noted = Record.objects.filter(event_type="audit.seal.repeated").latest("event_timestamp")
    assert noted.event_data == {"dropped": 1}


@pytest.mark.parametrize(
    ("breaks", "complaint"),
    [
        ("DELETE FROM audit_leaf WHERE index = 599", "599 leaves, but 600 were signed"),
        ("UPDATE audit_leaf SET leaf_hash = sha256('x') WHERE index = 599", "do not lead to the root"),
        ("UPDATE audit_checkpoint SET size = 599 WHERE number = 5", "600 leaves, but 599"),
        ("UPDATE audit_checkpoint SET root = sha256('x') WHERE number = 5", "says other than what was signed"),
        ("UPDATE audit_checkpoint SET note = replace(note, 'tests', 'toast') WHERE number = 5", "cannot be believed"),
        ("DELETE FROM audit_node", "node 0 of level 1 is missing"),
    ],
)
@pytest.mark.slow
def test_nothing_is_signed_on_top_of_a_tree_that_was_not(elsewhere: Scene, breaks: str, complaint: str) -> None:
    send(1)
    with connections["owner"].cursor() as cursor:
        for table in ("audit_leaf", "audit_node", "audit_checkpoint"):
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute(breaks)
    with pytest.raises(LogDamaged, match=complaint):
        seal.Sealer().once()
    assert one("SELECT count(*) FROM audit_unsealed") == 1
    assert one("SELECT max(number) FROM audit_checkpoint") == 5


@pytest.mark.slow
def test_a_sealer_that_runs_notices_a_restore_also_without_an_anchor(elsewhere: Scene) -> None:
    sealer = seal.Sealer()
    send(1)
    sealer.once()
    elsewhere.restore_early()
    for _ in range(2):
        with pytest.raises(LogDamaged, match="Checkpoint 6 was signed and is gone"):
            sealer.once()


@pytest.mark.slow
def test_a_database_that_was_restored_from_an_older_copy_is_not_sealed_on(elsewhere: Scene) -> None:
    elsewhere.restore_early()
    send(1)
    with elsewhere.outside(anchor=elsewhere.anchor), pytest.raises(LogDamaged, match="restored from an older copy"):
        seal.Sealer().once()


def killed_at(step: int) -> int:
    """In a child, seal and be killed -9 right before (even) or after (odd) a statement; return the child's status."""
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]
    done = 0

    def count(execute: Any, *arguments: Any) -> Any:
        nonlocal done
        for _ in range(2):
            if done == step:
                os.kill(os.getpid(), signal.SIGKILL)
            done += 1
            if done % 2:
                result = execute(*arguments)
        return result

    try:
        for alias in connections:
            # The parent's connections are not ours to close.
            connections[alias].connection = None
        with connections["default"].execute_wrapper(count):
            seal.Sealer().once(sign_anyway=True)
    finally:
        os._exit(0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # fork() beside threads: the child only seals
def test_a_sealer_killed_200_times_leaves_no_gap_no_double_and_no_fork(elsewhere: Scene) -> None:
    steps = 0
    while killed_at(steps):
        steps += 1
    assert steps > 8  # before and after each statement between the lock and the commit
    killed = 0
    for turn in range(200):
        send(random.randrange(1, 200) if turn % 10 == 0 else 2)
        connections.close_all()
        killed += killed_at(turn % steps) != 0
        if turn % 25 == 24:
            seal.Sealer().once()
            assert verify.verify().verdict == "VERIFIED"
    assert killed == 200
    seal.Sealer().once()
    run = verify.verify()
    assert (run.verdict, run.findings.count()) == ("VERIFIED", 0)
    assert one("SELECT count(*) FROM audit_unsealed") == 0
    assert one("SELECT count(*) = max(index) + 1 AND count(DISTINCT record_id) = count(*) FROM audit_leaf")
    assert one("SELECT count(*) = max(number) + 1 FROM audit_checkpoint")
    assert one("SELECT count(*) FROM audit_record") == one("SELECT count(*) FROM audit_leaf")


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[str]:
    found = Witness.create(tmp_path / "w", "w.example", sealkeys.load().verifiers)
    server = serve(found, "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}={found.verifier}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_checkpoint_carries_the_cosignatures_of_its_witnesses(witness: str, tmp_path: Path) -> None:
    with override_settings(SEAL_WITNESSES=[witness], SEAL_ANCHOR_FILE=tmp_path / "a.jsonl", SEAL_ANCHOR_S=0):
        courier = sealing.Courier()
        for _ in range(3):
            (accepted,) = send(1)
            head = seal.Sealer().once().checkpoint
            assert head is not None
            assert courier.deliver(head) == []
        (asked,) = outside.witnesses()
        text = log.full_note(head, "default")
        assert len(note.verify(text, [asked.verifier])[1]) == 1
        assert log.evidence(accepted.id).proof.note == text
        assert [found.note for found in outside.anchored()][-1] == text
        run = verify.verify("range", first=head.size - 1)
        assert run.verdict == "VERIFIED"
        assert (run.counts["witnesses"], run.counts["cosignatures"] >= 1) == (1, True)


def test_a_witness_that_has_seen_more_is_not_believed_silently(witness: str, elsewhere: Scene) -> None:
    with elsewhere.outside(witness=True):
        complaints = sealing.Courier().deliver(Checkpoint.objects.get(number=5))
        assert complaints == []
        elsewhere.restore_early()
        send(3)
        head = seal.Sealer().once().checkpoint
        assert head is not None
        (complaint,) = sealing.Courier().deliver(head)
        assert "has seen 600 records, more than there are" in complaint


def test_a_witness_that_is_away_delays_nothing(tmp_path: Path) -> None:
    dead = f"http://127.0.0.1:9=w.example+{Signer('w.example', bytes(32)).verifier.as_cosigner().id.hex()}+"
    dead += str(Signer("w.example", bytes(32)).verifier.as_cosigner()).rsplit("+", 1)[1]
    with override_settings(SEAL_WITNESSES=[dead]):
        head = seal.Sealer().once(sign_anyway=True).checkpoint
        assert head is not None
        (complaint,) = sealing.Courier().deliver(head)
        assert "did not answer" in complaint


def test_an_anchor_in_a_folder_is_a_file_a_checkpoint_and_never_overwritten(tmp_path: Path) -> None:
    with override_settings(SEAL_ANCHOR_DIR=tmp_path, SEAL_ANCHOR_S=0):
        head = seal.Sealer().once(sign_anyway=True).checkpoint
        assert head is not None
        for _ in range(2):
            assert sealing.Courier().deliver(head) == []
        (file,) = tmp_path.iterdir()
        assert file.name == f"{head.size:020d}-{head.number:012d}.checkpoint"
        assert file.read_text() == head.note
        assert outside.last_anchored() == note.Checkpoint.parse(note.split(head.note)[0])


def test_the_service_seals_until_it_is_stopped() -> None:
    stop = threading.Event()
    service = threading.Thread(target=sealing.follow, args=(stop,))
    service.start()
    try:
        (accepted,) = send(1)
        for _ in range(200):
            if Leaf.objects.filter(record_id=accepted.id).exists():
                break
            stop.wait(0.05)
        assert Leaf.objects.filter(record_id=accepted.id).exists()
    finally:
        stop.set()
        service.join(timeout=20)
    assert not service.is_alive()


@pytest.mark.slow
def test_the_service_survives_an_outage_of_postgresql(postgres: Any) -> None:
    stop = threading.Event()
    service = threading.Thread(target=sealing.follow, args=(stop,))
    service.start()
    try:
        with postgres.stopped():
            stop.wait(1.5)
        assert gateway().breaker.wait_closed(20)
        (accepted,) = send(1)
        for _ in range(400):
            if Leaf.objects.filter(record_id=accepted.id).exists():
                break
            stop.wait(0.05)
        assert Leaf.objects.filter(record_id=accepted.id).exists()
    finally:
        stop.set()
        service.join(timeout=20)


def test_a_refusal_to_seal_raises_the_alarm_once(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    stop = threading.Event()
    monkeypatch.setattr("dlq.alarm.tell", lambda name, text, **figures: told.append(text))
    monkeypatch.setattr(sealing, "TROUBLE_PAUSE_S", 0.01)

    def refuse(self: Any, **options: Any) -> Any:
        if len(told) > 1 or stop.wait(0.02):
            stop.set()
        refuse.count += 1  # type: ignore[attr-defined]
        if refuse.count == 5:  # type: ignore[attr-defined]
            stop.set()
        raise LogDamaged

    refuse.count = 0  # type: ignore[attr-defined]
    monkeypatch.setattr(seal.Sealer, "once", refuse)
    sealing.follow(stop)
    assert refuse.count == 5  # type: ignore[attr-defined]
    assert len(told) == 1
    assert "refuses to sign" in told[0]


def test_the_schedule_seals_as_a_safety_net() -> None:
    send(2)
    assert tasks.seal().endswith("records sealed")
    assert one("SELECT count(*) FROM audit_unsealed") == 0


def test_the_command_seals_all_and_says_what_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    send(2)
    call_command("seal")
    assert "records sealed; checkpoint" in capsys.readouterr().out
    call_command("seal", "--sign")
    assert capsys.readouterr().out.startswith("0 records sealed")


# --- Keys --------------------------------------------------------------------------------------


@pytest.fixture
def key_file(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "seal_key"
    files = {"SEAL_KEY_FILE": path, "SEAL_PUBLIC_KEYS_FILE": sealkeys.public_path(path)}
    with override_settings(**files):
        yield path


def test_without_any_key_nothing_is_signed() -> None:
    with override_settings(SEAL_KEY="", SEAL_PUBLIC_KEYS=""), pytest.raises(KeyMissing):
        seal.Sealer().once()


def test_with_public_keys_alone_one_verifies_but_does_not_sign() -> None:
    public = str(sealkeys.load().verifiers[0])
    with override_settings(SEAL_KEY="", SEAL_PUBLIC_KEYS=public):
        assert sealkeys.load().signer is None
        with pytest.raises(KeyMissing, match="only public keys"):
            seal.Sealer().once()


def test_the_development_key_is_for_development() -> None:
    with override_settings(SEAL_KEY="", SEAL_PUBLIC_KEYS="", DEBUG=True):
        assert sealkeys.load().signer == sealkeys.DEVELOPMENT


def test_a_damaged_key_is_refused_and_not_shown() -> None:
    secret = sealkeys.load().signer
    assert secret is not None
    with override_settings(SEAL_KEY=secret.encode()[:-6]), pytest.raises(KeyMissing) as refused:
        sealkeys.load()
    assert secret.encode()[-20:-6] not in str(refused.value)


def test_keys_of_two_logs_are_refused() -> None:
    other = str(Signer("other.example/log", bytes(32)))
    with override_settings(SEAL_PUBLIC_KEYS=other), pytest.raises(KeyMissing, match="several logs"):
        sealkeys.load()


def test_a_key_is_made_once_readable_by_its_owner_alone(key_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("sealkey", "create", "--origin", "made.example/log")
    public = capsys.readouterr().out.strip()
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert str(sealkeys.load().signer) == public
    assert sealkeys.public_path(key_file).read_text().strip() == public
    call_command("sealkey", "create", "--origin", "made.example/log", "--if-missing")
    with pytest.raises(CommandError, match="exists"):
        call_command("sealkey", "create", "--origin", "made.example/log")
    call_command("sealkey", "list")
    assert capsys.readouterr().out == f"{public}  signs now\n"
    noted = Record.objects.filter(event_type="audit.sealkey.created").latest("event_timestamp")
    assert noted.event_data["public_key"] == public
    assert "PRIVATE" not in str(noted.event_data)


def test_a_name_that_is_none_is_refused(key_file: Path) -> None:
    with pytest.raises(CommandError):
        call_command("sealkey", "create", "--origin", "has spaces")
    assert not key_file.exists()


@pytest.mark.slow
def test_after_a_rotation_old_checkpoints_verify_and_the_new_key_signs(elsewhere: Scene, key_file: Path) -> None:
    old = Signer.parse(os.environ["SEAL_KEY"])
    key_file.write_text(old.encode())
    sealkeys.public_path(key_file).write_text(f"{old}\n")
    sealer = seal.Sealer()  # a service that runs on
    sealer.once()
    call_command("sealkey", "rotate")
    keys = sealkeys.load()
    assert keys.signer is not None
    assert [keys.verifiers[0], keys.verifiers[1]] == [keys.signer.verifier, old.verifier]
    rotation = Record.objects.filter(event_type="audit.sealkey.rotated").latest("event_timestamp")
    covering = Checkpoint.objects.filter(size__gt=Leaf.objects.get(record_id=rotation.id).index).order_by("number")[0]
    assert note.verify(covering.note, [old.verifier])  # the old key vouches for the new one
    assert rotation.event_data["public_key"] == str(keys.signer)
    send(3)
    head = sealer.once().checkpoint
    assert head is not None
    assert note.verify(head.note, [keys.signer.verifier])
    assert verify.verify().verdict == "VERIFIED"
    with override_settings(SEAL_PUBLIC_KEYS_FILE=None, SEAL_PUBLIC_KEYS=""):
        assert verify.verify().verdict == "FORKED"  # the old key is not known any more
