"""Fill the volumes of docker-compose.yml from a backup: `docker compose run --rm restore NAME` (docs/deployment.md).

Only what is gone is put back. A part that has something already is newer than its backup, and left as it is: a spool or
a Redis that survived, an anchor on storage of its own. PostgreSQL then recovers from the archived WAL, up to its end.
Nothing here connects to anything, or checks a signature: `manage.py backup --check` does, beforehand.
"""

import argparse
import os
import re
import shutil
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

from auditsite.hand_out import APP, SERVER

# What a restore puts into postgresql.auto.conf.
RECOVERY = re.compile(r"(restore_command|recovery_target\w*)\s*=")
RECOVER = (
    "restore_command = 'gunzip </wal/%f.gz >%p'",
    "recovery_target_timeline = 'latest'",
    "recovery_target_action = 'promote'",
)
UNFINISHED = ".restoring"
APPEND_ONLY = "appendonly.aof.1.base.rdb"


@dataclass(frozen=True)
class Volumes:
    """The folders, each of them there; those that lack something are filled."""

    postgres: Path
    redis: Path
    spool: Path
    anchor: Path


def put_back(backup: Path, volumes: Volumes) -> dict[str, str]:
    """Put back what the volumes lack; return of each part what became of it, in words.

    Raises `SystemExit` where the folder is no whole backup, `OSError`.
    """
    if not (backup / "manifest.txt").is_file() or backup.suffix == ".part":
        raise SystemExit(
            f"{backup} is no whole backup: it has no manifest.txt. `restore --list` names those there are."
        )
    parts = {
        "PostgreSQL": (_put_postgres, backup / "postgres", volumes.postgres, SERVER),
        "Redis": (_put_redis, backup / "redis.rdb", volumes.redis, SERVER),
        "spool": (_put_files, backup / "spool", volumes.spool, APP),
        "anchor": (_put_anchor, backup / "anchor", volumes.anchor, APP),
    }
    done = {}
    for name, (put, source, place, user) in parts.items():
        if not source.exists():
            done[name] = "is not in this backup"
        elif _has_files(place):
            done[name] = "left as it is: the volume is not empty"
        else:
            put(source, place)
            for path in (*place.rglob("*"), place):
                os.chown(path, user, user, follow_symlinks=False)
            done[name] = "put back"
    return done


def _has_files(place: Path) -> bool:
    """Whether there is anything but what a run before this, which was cut off, has left."""
    files = (path.relative_to(place) for path in place.rglob("*") if not path.is_dir())
    return any(path.parts[0] != UNFINISHED for path in files)


def _put_postgres(source: Path, place: Path) -> None:
    """A base backup with its WAL, where the image of this version has its data, to be recovered at the next start."""
    unfinished = place / UNFINISHED
    shutil.rmtree(unfinished, ignore_errors=True)
    for name, below in (("base.tar", unfinished), ("pg_wal.tar", unfinished / "pg_wal")):
        with tarfile.open(source / name) as archive:
            archive.extractall(below, filter="data")
    version = (unfinished / "PG_VERSION").read_text(encoding="ascii").strip()
    settings = unfinished / "postgresql.auto.conf"
    # A backup of a server that was restored itself brings the settings of then along: two targets are refused.
    kept = [line for line in settings.read_text(encoding="utf-8").splitlines() if not RECOVERY.match(line)]
    settings.write_text("".join(f"{line}\n" for line in (*kept, *RECOVER)), encoding="utf-8")
    (unfinished / "recovery.signal").touch()
    unfinished.chmod(0o700)
    data = place / version / "docker"
    data.parent.mkdir(exist_ok=True)
    unfinished.rename(data)


def _put_redis(source: Path, place: Path) -> None:
    """The append-only file of Redis 7 and later, with the backup as its base."""
    folder = place / "appendonlydir"
    folder.mkdir()
    shutil.copyfile(source, folder / APPEND_ONLY)
    (folder / "appendonly.aof.manifest").write_text(f"file {APPEND_ONLY} seq 1 type b\n", encoding="ascii")


def _put_files(source: Path, place: Path) -> None:
    shutil.copytree(source, place, dirs_exist_ok=True)


def _put_anchor(source: Path, place: Path) -> None:
    """The file of SEAL_ANCHOR_FILE; a directory of checkpoints is on storage of its own, and goes there by hand."""
    if (source / "file").exists():
        shutil.copyfile(source / "file", place / "checkpoints.jsonl")


def main() -> int:
    """For the service `restore` of docker-compose.yml, which mounts these folders."""
    parser = argparse.ArgumentParser(prog="docker compose run --rm restore")
    parser.add_argument("name", nargs="?", help="of a backup, such as 20260818T100000.000000Z")
    parser.add_argument("--list", action="store_true", help="name the whole backups, the newest last, and do nothing")
    options = parser.parse_args()
    backups = Path("/backups")
    if options.list or not options.name:
        print("\n".join(sorted(path.parent.name for path in backups.glob("*/manifest.txt"))))
        return 0 if options.list else 2
    places = Volumes(*(Path(f"/{name}") for name in ("postgres", "redis", "spool", "anchor")))
    for name, what in put_back(backups / options.name, places).items():
        print(f"{name}: {what}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
