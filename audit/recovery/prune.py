"""prune: keep the newest backups, and of the archived WAL what they need."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

NAME = "%Y%m%dT%H%M%S.%fZ"
PART = ".part"
# What was archived so shortly before a backup stays, for the clock of whoever archives may be behind ours.
MARGIN = timedelta(hours=1)
# A file that says where a timeline began: small, and asked for by each restore to a later one.
HISTORY = ".history"

log = structlog.get_logger(__name__)


def whole(folder: Path) -> list[tuple[datetime, Path]]:
    """Return when each finished backup below `folder` was begun, and where it is; the oldest first."""
    return [(began_at, path) for began_at, path in _begun(folder, "") if (path / "manifest.txt").exists()]


def drop_unfinished(folder: Path, since: datetime) -> None:
    """Remove the first unfinished backup that was begun since then: it failed, and its disk may be full of it."""
    for _, path in [part for part in _begun(folder, PART) if part[0] >= since][:1]:
        shutil.rmtree(path)


def _begun(folder: Path, suffix: str) -> list[tuple[datetime, Path]]:
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        try:
            found.append((datetime.strptime(path.name, NAME + suffix).replace(tzinfo=UTC), path))
        except ValueError:
            continue  # somebody else's
    return sorted(found)


def prune(folder: Path, *, keep: int, wal: Path | None) -> list[str]:
    """Remove all backups but the newest `keep`, and the WAL of before the oldest of those; return the backups' names.

    A file of WAL that was archived MARGIN before a backup began holds nothing that it needs. What was begun before the
    newest and never finished goes, too. Raises `OSError`.
    """
    backups = whole(folder)
    # Its manifest first: what is cut off in the middle is no longer whole, and is not taken for a backup.
    for _, path in backups[:-keep]:
        (path / "manifest.txt").unlink()
        shutil.rmtree(path)
    for began_at, path in _begun(folder, PART):
        if backups and began_at < backups[-1][0]:
            shutil.rmtree(path)
    removed = 0
    if wal is not None and backups:
        needed_since = (backups[-keep:][0][0] - MARGIN).timestamp()
        for file in wal.iterdir():
            if HISTORY not in file.suffixes and file.is_file() and file.stat().st_mtime < needed_since:
                file.unlink()
                removed += 1
    names = [path.name for _, path in backups[:-keep]]
    log.info("pruned", backups=names, wal_files=removed)
    return names
