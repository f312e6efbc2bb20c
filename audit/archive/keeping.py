"""keeping: what the storage of an archive keeps beside the files: locks, until when, and versions of before."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from django.conf import settings

from audit.archive.folder import Target
from audit.buckets.storage import Lock, Version
from audit.formats.times import timestamp_text

# So many versions of a file are looked through for the one that holds.
VERSIONS_TRIED = 20


class Kept(NamedTuple):
    """What a check says beside its faults; `unlocked` is a fault where locks are required."""

    notes: list[str]
    unlocked: list[str]


class Said(NamedTuple):
    """What is said of a file's lock, and whether it is locked as the settings ask."""

    words: str
    is_locked: bool


def look(target: Target, names: list[str]) -> Kept:
    """Say of each of these files whether it is locked, in which mode and until when. Raises `ArchiveUnusable`."""
    if target.has_lock is None:
        return Kept([], [])
    if not target.has_lock:
        text = "the bucket has no object lock: whoever may remove its objects can remove these files"
        return Kept([text], [text] if settings.ARCHIVE_LOCK.is_required else [])
    said = [(name, found) for name in names if (found := _said(target, name)) is not None]
    notes = [
        f"{_span([name for name, _ in files])}: {words}"
        for words, group in groupby(said, key=lambda item: item[1].words)
        if (files := [*group])
    ]
    unlocked = [f"{name}: {lock.words}" for name, lock in said if not lock.is_locked]
    return Kept(notes, unlocked if settings.ARCHIVE_LOCK.is_required else [])


def still_holding(target: Target, name: str, holds: Callable[[Path], bool]) -> str:
    """Name the newest version of before that holds, where the storage keeps one. Raises `ArchiveUnusable`."""
    versions = target.versions(name)
    if not versions or (len(versions) == 1 and versions[0].is_current and not versions[0].is_marker):
        return ""
    over = "a delete marker lies over it" if versions[0].is_marker else "another version was put over it"
    found = next(_held(target, name, versions, holds), None)
    if found is None:
        return f"; {over}, and no version of before holds"
    return f"; {over}, and the version {found.id} of {timestamp_text(found.at)} still holds"


def _held(target: Target, name: str, versions: Sequence[Version], holds: Callable[[Path], bool]) -> Iterator[Version]:
    before = [version for version in versions if not version.is_current and not version.is_marker]
    for version in before[:VERSIONS_TRIED]:
        try:
            with target.get(name, version.id) as path:
                is_held = holds(path)
        except FileNotFoundError:
            continue
        if is_held:
            yield version


def said_of(lock: Lock | None, mode: str, now: datetime) -> Said:
    """What is said of a file with this lock, where the settings ask for locks in a mode."""
    if lock is None:
        return Said("not locked, or the key may not read locks", False)
    if lock.until <= now:
        return Said(f"not locked any more: its lock in the mode {lock.mode} ran out on {lock.until:%Y-%m-%d}", False)
    if (lock.mode, mode) == ("GOVERNANCE", "COMPLIANCE"):
        words = f"locked in the mode GOVERNANCE until {lock.until:%Y-%m-%d}, which some may lift"
        return Said(f"{words}, and ARCHIVE_LOCK_MODE is COMPLIANCE", False)
    return Said(f"locked in the mode {lock.mode} until {lock.until:%Y-%m-%d}", True)


def _said(target: Target, name: str) -> Said | None:
    """What is said of a file; None where it is missing, which is said elsewhere."""
    try:
        lock = target.lock_of(name)
    except FileNotFoundError:
        return None
    return said_of(lock, settings.ARCHIVE_LOCK.mode, datetime.now(UTC))


def _span(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}, {len(names)} files"
