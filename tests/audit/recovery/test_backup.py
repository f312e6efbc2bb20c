"""A backup has all that a store is restored from, in the order in which events move, and says so under a signature."""

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command

import dlq.spool
import dlq.stream
from audit import checks
from audit.errors import BackupFailed, KeyMissing
from audit.formats.event import accept
from audit.gauges import Gauges
from audit.ingest.record import document
from audit.ledger import anchor, keys
from audit.models import Backup, Record, newest_head
from audit.recovery import backup as backups
from audit.recovery import history, safe
from audit.recovery.backup import back_up
from audit.recovery.backup_check import check_backup
from auditsite.embedded import Postgres, Redis
from dlq.stream import Stream
from tests.audit.conftest import an_event
from tests.dlq.conftest import new_stream


@pytest.mark.slow
def test_what_was_backed_up_is_there_again_in_other_servers(
    sealed_store: str, settings: Any, tmp_path: Path, another_postgres: Postgres
) -> None:
    spooled, parked = (accept(an_event(), writer="tests") for _ in range(2))
    settings.DLQ_PREFIX = f"backup-{parked.id}"
    dlq.spool.append([document(spooled)], reason="database-down")
    dlq.stream.default().park([document(parked)], reason="database-down")
    head = newest_head("default")
    assert head is not None
    anchor.anchor(head, head.note)
    made = back_up(tmp_path / "backups", by="olga")
    backup = tmp_path / "backups" / made.name
    manifest, faults = check_backup(backup)
    assert faults == [] and made.log_size == manifest["log"]["size"] >= head.size
    another_postgres.unpack(backup / "postgres")
    another_postgres.start()
    name = settings.DATABASES["default"]["NAME"]
    with psycopg.connect(another_postgres.url("postgres", name)) as connection:
        rows = connection.execute("SELECT count(*) FROM audit_record WHERE id = %s", [sealed_store]).fetchone()
        sizes = connection.execute("SELECT max(size) FROM audit_checkpoint").fetchone()
    assert rows == (1,) and sizes is not None and sizes[0] >= made.log_size
    own = Redis(tmp_path / "redis")
    own.load(backup / "redis.rdb")
    own.start()
    try:
        stream = Stream(new_stream(own.url()).redis, settings.DLQ_PREFIX)
        assert [message.key for message in stream.pages.page(limit=9)] == [str(parked.id)]
    finally:
        own.stop()
    (file,) = (backup / "spool").iterdir()
    assert [message.key for message in dlq.spool.Reader(file)] == [str(spooled.id)]
    assert (backup / "anchor" / "file").read_text() == settings.SEAL_ANCHOR_FILE.read_text()


@pytest.fixture
def without_postgresql(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The order of the parts; PostgreSQL's is not made, for it takes seconds."""
    order: list[str] = []
    for place, name in ((backups, "_copy_anchor"), (backups, "_copy_spool"), (backups.snapshot, "save")):
        real = getattr(place, name)
        monkeypatch.setattr(place, name, lambda *a, real=real, name=name: (order.append(name), real(*a))[1])

    def take(url: str, folder: Path) -> None:
        order.append("take")
        folder.mkdir()
        (folder / "base.tar").write_bytes(b"a base backup")

    monkeypatch.setattr(backups.base_backup, "take", take)
    return order


def test_what_lies_upstream_is_copied_first(sealed_store: str, tmp_path: Path, without_postgresql: list[str]) -> None:
    back_up(tmp_path, by="olga")
    assert without_postgresql == ["_copy_anchor", "_copy_spool", "save", "take"]


def test_a_backup_is_a_record_and_a_row_and_a_gauge(
    sealed_store: str, tmp_path: Path, without_postgresql: list[str]
) -> None:
    made = back_up(tmp_path, by="olga")
    act = Record.objects.get(event_type="audit.backup.made", event_data__name=made.name, actor_id="olga")
    assert act.event_data["manifest"] == made.manifest == Backup.objects.get(name=made.name).manifest
    last = history.last_backup()
    assert last is not None and last.began_at >= made.began_at
    (family,) = (each for each in Gauges().collect() if each.name == "audit_backup_timestamp_seconds")
    assert {sample.labels["act"]: sample.value for sample in family.samples}["backup"] >= made.began_at.timestamp()


def test_no_private_key_is_in_it_unless_it_is_asked_for(
    sealed_store: str, tmp_path: Path, without_postgresql: list[str]
) -> None:
    made = back_up(tmp_path, by="olga")
    signer = keys.load().signer
    assert signer is not None
    texts = [path.read_bytes() for path in (tmp_path / made.name).rglob("*") if path.suffix in (".json", ".txt")]
    assert not any(b"PRIVATE+KEY" in text or signer.seed in text for text in texts)
    manifest, _ = check_backup(tmp_path / made.name)
    assert manifest["keys"]["log"] == [str(signer.verifier)]


@pytest.mark.parametrize("change", ["altered", "gone"])
def test_what_was_changed_in_a_backup_is_named(
    sealed_store: str, tmp_path: Path, without_postgresql: list[str], change: str, capsys: Any
) -> None:
    made = back_up(tmp_path, by="olga")
    base = tmp_path / made.name / "postgres" / "base.tar"
    base.unlink() if change == "gone" else base.write_bytes(b"a base packup")
    with pytest.raises(SystemExit) as ended:
        call_command("backup", "--check", str(tmp_path / made.name))
    assert ended.value.code == 3
    said = capsys.readouterr().out
    assert ("base.tar is gone" if change == "gone" else "base.tar is not what it was") in said and "NOT WHOLE" in said


@pytest.mark.parametrize("file", ["manifest.json", "manifest.txt"])
def test_a_manifest_that_nobody_signed_is_no_backup(
    sealed_store: str, tmp_path: Path, without_postgresql: list[str], file: str
) -> None:
    made = back_up(tmp_path, by="olga")
    path = tmp_path / made.name / file
    path.write_text(path.read_text().replace(made.name, "20000101T000000Z"), encoding="utf-8")
    with pytest.raises(BackupFailed):
        check_backup(tmp_path / made.name)


def test_a_part_that_fails_leaves_a_folder_that_is_no_backup(
    sealed_store: str, tmp_path: Path, settings: Any, without_postgresql: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    settings.DATABASE_BACKUP_URL = "postgresql://nobody@127.0.0.1:1/audit"
    before = Backup.objects.count()
    with pytest.raises(CommandError, match="PostgreSQL could not be asked"):
        call_command("backup", str(tmp_path / "b"))
    assert [path.suffix for path in (tmp_path / "b").iterdir()] == [".part"]
    assert Backup.objects.count() == before


def test_without_an_address_or_a_key_nothing_is_begun(sealed_store: str, tmp_path: Path, settings: Any) -> None:
    settings.RECEIPT_KEY, settings.RECEIPT_PUBLIC_KEYS = "", str(keys.receipts().verifiers[0])
    with pytest.raises(KeyMissing, match="backups are signed"):
        back_up(tmp_path / "b", by="olga")
    settings.DATABASE_BACKUP_URL = ""
    with pytest.raises(BackupFailed, match="DATABASE_BACKUP_URL"):
        back_up(tmp_path / "b", by="olga")
    assert not (tmp_path / "b").exists()


def test_private_keys_come_back_with_the_passphrase_alone(tmp_path: Path, settings: Any, capsys: Any) -> None:
    phrase, other = tmp_path / "phrase", tmp_path / "other"
    phrase.write_text("correct horse battery staple\n")
    other.write_text("incorrect horse battery staple\n")
    names = safe.close(tmp_path / "safe.json", phrase)
    assert names == ["RECEIPT_KEY", "SEAL_KEY", "SECRET_KEY"]
    assert b"PRIVATE" not in (tmp_path / "safe.json").read_bytes()
    with pytest.raises(CommandError, match="does not open"):
        call_command("restore", "secrets", str(tmp_path), "--passphrase-file", str(other), "--to", str(tmp_path / "to"))
    arguments = ("restore", "secrets", str(tmp_path), "--passphrase-file", str(phrase), "--to", str(tmp_path / "to"))
    call_command(*arguments)
    restored = tmp_path / "to" / "seal_key"
    assert restored.read_text().strip() == settings.SEAL_KEY and restored.stat().st_mode & 0o777 == 0o600
    with pytest.raises(CommandError, match="nothing is overwritten"):
        call_command(
            "restore", "secrets", str(tmp_path), "--passphrase-file", str(phrase), "--to", str(tmp_path / "to")
        )


def test_a_safe_that_was_changed_does_not_open(tmp_path: Path) -> None:
    phrase, path = tmp_path / "phrase", tmp_path / "safe.json"
    phrase.write_text("correct horse battery staple")
    safe.close(path, phrase)
    header = json.loads(path.read_text())
    path.write_text(json.dumps(header | {"keys": ["SEAL_KEY"]}))
    with pytest.raises(BackupFailed, match="was changed"):
        safe.open_safe(path, phrase, tmp_path)


def test_a_short_passphrase_is_refused(tmp_path: Path) -> None:
    (tmp_path / "phrase").write_text("secret")
    with pytest.raises(BackupFailed, match="less than 16"):
        safe.close(tmp_path / "safe.json", tmp_path / "phrase")


def test_a_restore_drill_is_noted_and_a_record(capsys: Any) -> None:
    call_command("restore", "drilled", "20260818T100000Z", "--outcome", "failure", "--note", "no key in the safe")
    drill = history.last_drill()
    assert drill is not None and (drill.outcome, drill.note) == ("failure", "no key in the safe")
    act = Record.objects.filter(event_type="audit.restore.drilled").latest("stored_at")
    assert (act.event_outcome, act.event_data["name"]) == ("failure", "20260818T100000Z")


def test_a_check_warns_where_no_backup_was_made_lately(settings: Any) -> None:
    settings.BACKUP_HOURS = 1e-9
    (warning,) = checks.backups(None, databases=["default"])
    assert warning.id == "audit.W010" and "backup" in warning.msg
    settings.BACKUP_HOURS = 0
    assert checks.backups(None, databases=["default"]) == []


def test_a_check_is_content_after_a_backup(
    sealed_store: str, tmp_path: Path, settings: Any, without_postgresql: list[str]
) -> None:
    back_up(tmp_path, by="olga")
    settings.BACKUP_HOURS = 1
    assert checks.backups(None, databases=["default"]) == []
