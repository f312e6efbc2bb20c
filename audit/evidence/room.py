"""room: how much of the disk evidence bundles take, and what is left in their folder of those that nobody knows."""

import shutil
import time
from pathlib import Path
from uuid import UUID

from django.conf import settings

from audit.models import Export

MB = 1_000_000


def used(folder: Path) -> int:
    """Return the bytes of all bundles, also of those that are being made."""
    return sum(_size(path) for path in folder.rglob("*"))


def lacking(folder: Path) -> str:
    """Say why nothing more may be written into the folder; empty where there is room."""
    taken, most = used(folder), settings.EXPORT_MAX_MB * MB
    if not most or taken < most:
        return ""
    return (
        f"the bundles here take {taken // MB:,} MB, and EXPORT_MAX_MB is {settings.EXPORT_MAX_MB:,}: "
        f"wait until some expire (EXPORT_DAYS), or have more room given to them"
    )


def remove_strays(folder: Path) -> int:
    """Remove what is EXPORT_DAYS old and of no bundle that is known: what a killed or restored store left behind."""
    old, removed = time.time() - settings.EXPORT_DAYS * 86_400, 0
    for path in folder.iterdir():
        key = _key(path.name)
        is_known = key is None or Export.objects.filter(pk=key).exclude(state="expired").exists()
        if is_known or _written_at(path) > old:
            continue
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        removed += 1
    return removed


def _key(name: str) -> UUID | None:
    """Return whose file or folder it is; None where it is not ours."""
    stem, _, kind = name.removeprefix("evidence-").rpartition(".")
    try:
        return UUID(stem) if kind in ("zip", "partial", "lock") else None
    except ValueError:
        return None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0


def _written_at(path: Path) -> float:
    return max((each.stat().st_mtime for each in (path, *path.rglob("*"))), default=0.0)
