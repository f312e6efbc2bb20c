"""A backup is put into volumes that lack something, and never over what is there."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from auditsite import put_back as module
from auditsite.put_back import Volumes, put_back

BASE = {
    "PG_VERSION": "18\n",
    "base/1/1259": "rows",
    "postgresql.auto.conf": "work_mem = '8MB'\nrecovery_target_time = '2026-01-01'\nrestore_command = 'of then'\n",
}


def pack(path: Path, files: dict[str, str]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, text in files.items():
            facts = tarfile.TarInfo(name)
            facts.size = len(text)
            archive.addfile(facts, io.BytesIO(text.encode()))


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    folder = tmp_path / "20260818T100000.000000Z"
    for name in ("postgres", "spool", "anchor"):
        (folder / name).mkdir(parents=True)
    pack(folder / "postgres" / "base.tar", BASE)
    pack(folder / "postgres" / "pg_wal.tar", {"000000010000000000000001": "wal"})
    (folder / "redis.rdb").write_text("REDIS")
    (folder / "spool" / "1.spool").write_text("events")
    (folder / "anchor" / "file").write_text("heads")
    (folder / "manifest.txt").write_text("signed")
    return folder


@pytest.fixture
def volumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Volumes:
    for name in ("APP", "SERVER"):
        monkeypatch.setattr(module, name, os.getuid())
    places = [tmp_path / "volumes" / name for name in ("postgres", "redis", "spool", "anchor")]
    for place in places:
        place.mkdir(parents=True)
    return Volumes(*places)


def test_empty_volumes_get_all_of_it(backup: Path, volumes: Volumes) -> None:
    assert set(put_back(backup, volumes).values()) == {"put back"}
    data = volumes.postgres / "18" / "docker"
    assert (data / "base" / "1" / "1259").read_text() == "rows" and (data / "recovery.signal").exists()
    assert (data / "pg_wal" / "000000010000000000000001").read_text() == "wal"
    assert data.stat().st_mode & 0o777 == 0o700
    assert (volumes.redis / "appendonlydir" / "appendonly.aof.1.base.rdb").read_text() == "REDIS"
    assert (volumes.spool / "1.spool").read_text() == "events"
    assert (volumes.anchor / "checkpoints.jsonl").read_text() == "heads"


def test_it_recovers_to_the_end_of_the_wal_whatever_the_backup_was_restored_to(backup: Path, volumes: Volumes) -> None:
    put_back(backup, volumes)
    lines = (volumes.postgres / "18" / "docker" / "postgresql.auto.conf").read_text().splitlines()
    assert lines == [
        "work_mem = '8MB'",
        "restore_command = 'gunzip </wal/%f.gz >%p'",
        "recovery_target_timeline = 'latest'",
        "recovery_target_action = 'promote'",
    ]


@pytest.mark.parametrize(
    ("part", "file"),
    [("PostgreSQL", "postgres/18/docker/PG_VERSION"), ("Redis", "redis/appendonlydir/x"), ("spool", "spool/2.spool")],
)
def test_what_is_left_is_newer_and_stays(backup: Path, volumes: Volumes, part: str, file: str) -> None:
    left = volumes.postgres.parent / file
    left.parent.mkdir(parents=True, exist_ok=True)
    left.write_text("of now")
    done = put_back(backup, volumes)
    assert done.pop(part) == "left as it is: the volume is not empty"
    assert set(done.values()) == {"put back"} and left.read_text() == "of now"
    assert [path for path in (volumes.postgres.parent / file.split("/")[0]).rglob("*") if path.is_file()] == [left]


def test_what_was_cut_off_is_done_again(backup: Path, volumes: Volumes) -> None:
    half = volumes.postgres / ".restoring" / "base"
    half.mkdir(parents=True)
    (half / "half").write_text("half")
    assert put_back(backup, volumes)["PostgreSQL"] == "put back"
    assert not list(volumes.postgres.rglob("half"))


def test_what_was_not_finished_is_no_backup(backup: Path, volumes: Volumes) -> None:
    part = backup.rename(backup.with_suffix(".part"))
    with pytest.raises(SystemExit, match="no whole backup"):
        put_back(part, volumes)
    assert not list(volumes.postgres.iterdir())
