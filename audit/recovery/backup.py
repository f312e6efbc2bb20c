"""back_up: copy all that a store is restored from into one folder.

1. The public keys, and the fingerprints of the private ones; with a passphrase file the private keys, encrypted.
2. The newest head of the log, which PostgreSQL's copy then has for certain; then the anchor.
3. The spool, then Redis, then PostgreSQL: in the direction in which events move, so that one that moves on meanwhile is
   copied twice rather than in no place (docs/decisions/0041-upstream-is-copied-first.md).
4. A manifest with the head, and size and SHA-256 of each file, signed with the key of receipts.
5. The folder gets its name: until then it ends in `.part`. The backup is a record.

Nothing is stopped meanwhile. A run that is killed leaves a folder that ends in `.part`, to be removed by hand.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings

import dlq.errors
from audit import metrics
from audit.errors import BackupFailed, KeyMissing
from audit.evidence import resumable_zip
from audit.evidence.manifest import VERSION, sign_note
from audit.formats import note
from audit.formats.times import timestamp_text
from audit.ledger import heads, keys, reader
from audit.models import Backup, Checkpoint
from audit.recovery import base_backup, history, safe
from dlq import snapshot

log = structlog.get_logger(__name__)

FORMAT = "auditsite/backup/v1"
CHUNK = 1024 * 1024
POSTGRES, REDIS, SPOOL, ANCHOR, SAFE = "postgres", "redis.rdb", "spool", "anchor", "safe.json"


def back_up(
    folder: Path,
    *,
    by: str,
    redis_file: Path | None = None,
    passphrase_file: Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Backup:
    """Make a backup in a folder of its own below `folder`; return what is known of it.

    `redis_file` is a file of Redis that was copied by other means, right before. Raises `BackupFailed`, `KeyMissing`,
    `NothingKept`, database errors and `OSError`; the folder ends in `.part` then.
    """
    if not settings.DATABASE_BACKUP_URL:
        raise BackupFailed("Set DATABASE_BACKUP_URL: the address of a role of PostgreSQL that may replicate.")
    if keys.receipts().signer is None:
        raise KeyMissing("This process has only public keys of receipts, and backups are signed: set RECEIPT_KEY_FILE.")
    began_at = datetime.now(UTC)
    name = f"{began_at:%Y%m%dT%H%M%S.%fZ}"
    part = folder / f"{name}.part"
    part.mkdir(parents=True)
    facts = _copy(part, redis_file, passphrase_file, progress)
    progress("signing the manifest")
    size, digest = _write_manifest(part, name, began_at, facts)
    resumable_zip.sync(part)
    part.rename(folder / name)
    resumable_zip.sync(folder)
    backup = Backup(
        name=name, began_at=began_at, ended_at=datetime.now(UTC), bytes=size, manifest=digest, made_by=by,
        log_size=facts["log"]["size"],
    )  # fmt: skip
    history.note_backup(backup)
    metrics.backed_up.inc()
    log.info("backed_up", name=name, bytes=size)
    return backup


def _copy(
    part: Path, redis_file: Path | None, passphrase_file: Path | None, progress: Callable[[str], None]
) -> dict[str, Any]:
    facts: dict[str, Any] = {"keys": _keys()}
    if passphrase_file is not None:
        facts["keys"]["in_safe"] = safe.close(part / SAFE, passphrase_file)
    head = heads.keep_whole()
    facts["log"] = _log(head)
    progress("copying the anchor")
    facts["anchor"] = _copy_anchor(part / ANCHOR)
    progress("copying the spool")
    facts["spool"] = _copy_spool(part / SPOOL)
    progress("copying Redis")
    try:
        if redis_file is None:
            snapshot.save(part / REDIS)
        else:
            shutil.copyfile(redis_file, part / REDIS)
    except dlq.errors.Refused as error:
        why = f"{error} {error.__cause__ or ''}".strip()
        raise BackupFailed(f"Redis could not be copied: {why}. Its role needs +sync, or give --redis-file.") from None
    progress("copying PostgreSQL")
    base_backup.take(settings.DATABASE_BACKUP_URL, part / POSTGRES)
    return facts


def _keys() -> dict[str, Any]:
    """Which keys there are, by their public halves; nothing private."""
    log_keys, receipt_keys = keys.load(), keys.receipts()
    return {
        "log": [str(key) for key in log_keys.verifiers],
        "receipts": [str(key) for key in receipt_keys.verifiers],
        # Whoever restores has to find exactly the key whose entries wait in Redis and in the spool.
        "queue": hashlib.sha256(b"fingerprint of " + settings.DLQ_ENTRY_KEY).hexdigest()[:16],
    }


def _log(head: Checkpoint | None) -> dict[str, Any]:
    if head is None:
        return {"size": 0, "note": None}
    return {"size": head.size, "root": note.encode64(bytes(head.root)), "note": reader.full_note(head, "default")}


def _copy_anchor(folder: Path) -> bool:
    """Copy what the anchor has; where it is appended to meanwhile, the copy may end in the middle of a line."""
    file, directory = settings.SEAL_ANCHOR_FILE, settings.SEAL_ANCHOR_DIR
    folder.mkdir()
    if file is not None and file.exists():
        shutil.copyfile(file, folder / "file")
    if directory is not None and directory.exists():
        shutil.copytree(directory, folder / "directory", ignore=shutil.ignore_patterns(".*"))
    return file is not None or directory is not None


def _copy_spool(folder: Path) -> bool:
    """Copy the spool's files as they are. One that a drain removes at this moment has its events ahead of it."""
    folder.mkdir()
    if settings.DLQ_SPOOL_DIR is None:
        return False
    for path in sorted(Path(settings.DLQ_SPOOL_DIR).iterdir()):
        try:
            shutil.copyfile(path, folder / path.name)
        except FileNotFoundError:
            # It was renamed from open to closed, or emptied: copied under its new name, or ahead of us.
            closed = path.with_suffix(".closed")
            if closed.exists():
                shutil.copyfile(closed, folder / closed.name)
    return True


def _write_manifest(part: Path, name: str, began_at: datetime, facts: dict[str, Any]) -> tuple[int, str]:
    files = {str(path.relative_to(part)): measure(path) for path in _files(part)}
    manifest = {
        "backup": FORMAT,
        "name": name,
        "system": settings.SITE_NAME,
        "version": VERSION,
        "began_at": timestamp_text(began_at),
        "ended_at": timestamp_text(datetime.now(UTC)),
        **facts,
        "files": dict(sorted(files.items())),
    }
    body = (json.dumps(manifest, ensure_ascii=False, indent=2) + "\n").encode()
    digest = hashlib.sha256(body).hexdigest()
    for file, content in (
        ("manifest.json", body),
        ("manifest.txt", sign_note("backups are", FORMAT, name, digest).encode()),
    ):
        with (part / file).open("wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
    return sum(each["bytes"] for each in files.values()) + len(body), digest


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def measure(path: Path) -> dict[str, Any]:
    """Size and SHA-256 of a file, which is flushed to the disk on the way."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while data := file.read(CHUNK):
            digest.update(data)
            size += len(data)
        os.fsync(file.fileno())
    return {"bytes": size, "sha256": digest.hexdigest()}
