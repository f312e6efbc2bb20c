"""Keep checkpoints outside of the database, in a file or a directory that the store only appends to.

A write that fails half way is undone; where that is impossible, the next one begins on a line of its own. A checkpoint
that is torn all the same counts as not covered: nobody can forge anything by adding garbage or by cutting text off.
"""

import errno
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from django.conf import settings

from audit.formats import note
from audit.models import Checkpoint

# The member of a line that is no checkpoint.
CROSSLINK = "crosslink"
# A line of the file is shorter: this much of its end is read for the last lines.
LAST_LINES_BYTES = 256 * 1024
# Among so many the newest is looked for: those of two days.
NEWEST_MOST = 3_000
# Of a place in the folder, which comes after the file.
IN_FOLDER = "folder/"
NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)


class Anchored(NamedTuple):
    """A checkpoint as the anchor holds it: where, for people, and its note; None where it was not written whole."""

    where: str
    note: str | None
    # After it a later look goes on.
    place: str = ""


def anchor(checkpoint: Checkpoint, text: str) -> None:
    """Append a checkpoint to the anchor, and flush it to disk. Raises `OSError`."""
    if settings.SEAL_ANCHOR_FILE is not None:
        line = {"anchored_at": datetime.now(UTC).isoformat(), "note": text}
        _append_line(settings.SEAL_ANCHOR_FILE, json.dumps(line, ensure_ascii=False).encode())
    if settings.SEAL_ANCHOR_DIR is not None:
        # Never behind the last folder, in which the newest is looked for: a clock may have gone ahead and back.
        folder = max([settings.SEAL_ANCHOR_DIR / f"{checkpoint.created_at:%Y-%m-%d}", *_days()[-1:]])
        _make_folder(folder)
        _write_whole(folder / f"{checkpoint.size:020d}-{checkpoint.number:012d}.checkpoint", text.encode())


def anchor_crosslink(text: str, checkpoint: int) -> None:
    """Put a cross-link where the checkpoints are, so that whoever has them finds why they go on under another name.

    Raises `OSError`.
    """
    if settings.SEAL_ANCHOR_FILE is not None:
        line = {"anchored_at": datetime.now(UTC).isoformat(), CROSSLINK: text}
        _append_line(settings.SEAL_ANCHOR_FILE, json.dumps(line, ensure_ascii=False).encode())
    if settings.SEAL_ANCHOR_DIR is not None:
        _write_whole(settings.SEAL_ANCHOR_DIR / f"{checkpoint:012d}.crosslink", text.encode())


def anchored(after: str = "") -> Iterator[Anchored]:
    """Yield all checkpoints in the order of the anchor: the lines of the file, then the files of the folder.

    `after` is the place of the last one that the caller has: what is before it is not read again.
    """
    if not after.startswith(IN_FOLDER):
        yield from _lines(after)
    for path in _anchor_files(after=after.removeprefix(IN_FOLDER) if after.startswith(IN_FOLDER) else ""):
        yield _read_file(path)


def newest_anchored(origin: str | None = None) -> list[Anchored]:
    """Return the last whole checkpoint of the file and of the directory, and what is torn after it.

    With `origin`, up to the last one of a log of this name: a log that was resumed had another name before.
    """
    lines = (
        Anchored("the end of the anchor file", _note_of(line))
        for line in reversed(_last_lines())
        if not _is_crosslink(line)
    )
    files = (_read_file(path) for path in _anchor_files(newest_first=True))
    return [*_up_to_whole(lines, origin), *_up_to_whole(files, origin)]


def last_anchored() -> note.TreeHead | None:
    """Return the newest head of the anchor, its signature not checked; None where no checkpoint can be read."""
    heads = []
    for checkpoint in newest_anchored():
        with suppress(note.NoteError):
            heads.append(note.TreeHead.parse(note.split(checkpoint.note or "")[0]))
    return max(heads, key=lambda head: head.size, default=None)


def has_anchor() -> bool:
    return settings.SEAL_ANCHOR_FILE is not None or settings.SEAL_ANCHOR_DIR is not None


def empty_anchors() -> list[str]:
    file, folder = settings.SEAL_ANCHOR_FILE, settings.SEAL_ANCHOR_DIR
    empty = [] if file is None or _last_lines() else [f"file {file.name}"]
    return empty + ([] if folder is None or any(_anchor_files()) else [f"folder {folder.name}"])


def _up_to_whole(newest_first: Iterator[Anchored], origin: str | None) -> Iterator[Anchored]:
    for checkpoint in islice(newest_first, NEWEST_MOST):
        yield checkpoint
        if checkpoint.note is not None and origin in (None, note.origin_of(checkpoint.note)):
            return


def _lines(after: str) -> Iterator[Anchored]:
    """Yield the lines of the file after a place there: the number of a line, and the byte at which the next begins."""
    if (path := settings.SEAL_ANCHOR_FILE) is None or not path.exists():
        return
    number, start = map(int, after.split(":")) if after else (0, 0)
    with path.open("rb") as lines:
        if start > lines.seek(0, os.SEEK_END):
            number, start = 0, 0  # it is another file, or was cut off
        lines.seek(start)
        for line in lines:
            number += 1
            # A line that is being written is read again.
            start += len(line) if line.endswith(b"\n") else 0
            if not _is_crosslink(line):
                yield Anchored(f"{path.name} line {number}", _note_of(line), f"{number}:{start}")


def _anchor_files(*, newest_first: bool = False, after: str = "") -> Iterator[Path]:
    """Yield the files of the folder, day by day; those outside of days were written before there were."""
    if (folder := settings.SEAL_ANCHOR_DIR) is None:
        return
    last_day, _, last_name = after.rpartition("/")
    days = [folder, *_days()]
    for day in reversed(days) if newest_first else days:
        day_name = "" if day == folder else day.name
        if day_name < last_day:
            continue
        names = sorted(day.glob("[0-9]*.checkpoint"), reverse=newest_first)
        yield from (path for path in names if (day_name, path.name) > (last_day, last_name))


def _days() -> list[Path]:
    """The folders of the days, in order."""
    folder: Path | None = settings.SEAL_ANCHOR_DIR
    return [] if folder is None else sorted(folder.glob("[0-9]*-[0-9]*-[0-9]*/"))


def _read_file(path: Path) -> Anchored:
    note_of_it = _whole(path.read_text(encoding="utf-8", errors="replace"))
    day = "" if path.parent == settings.SEAL_ANCHOR_DIR else path.parent.name
    return Anchored(path.name, note_of_it, f"{IN_FOLDER}{day}/{path.name}")


def _is_crosslink(line: bytes) -> bool:
    try:
        return CROSSLINK in json.loads(line)
    except (ValueError, TypeError, RecursionError):
        return False


def _note_of(line: bytes) -> str | None:
    try:
        return _whole(str(json.loads(line)["note"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _whole(text: str) -> str | None:
    """Return a note that has its text and its signatures, whoever made them; None for a part of one."""
    try:
        note.split(text)
    except note.NoteError:
        return None
    return text


def _last_lines() -> list[bytes]:
    """Read the last lines of the anchor file from its end."""
    path = settings.SEAL_ANCHOR_FILE
    if path is None or not path.exists():
        return []
    with path.open("rb") as file:
        start = max(file.seek(0, os.SEEK_END) - LAST_LINES_BYTES, 0)
        file.seek(start)
        lines = file.read().splitlines()
    return lines[1:] if start and len(lines) > 1 else lines


def _append_line(path: Path, line: bytes) -> None:
    """Append a line, or leave the file as it was. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # another process must not append between the length and its restoring
        length = os.fstat(descriptor).st_size
        begins_a_line = not length or os.pread(descriptor, 1, length - 1) == b"\n"
        try:
            _write_all(descriptor, (b"" if begins_a_line else b"\n") + line + b"\n")
        except OSError:
            with suppress(OSError):  # a file that can only be appended to keeps the part
                os.ftruncate(descriptor, length)
            raise
    finally:
        os.close(descriptor)


def _write_whole(path: Path, text: bytes) -> None:
    """Make a file with this text, or none; one that exists stays as it is. Raises `OSError`."""
    if path.exists():
        return
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            _write_all(descriptor, text)
        finally:
            os.close(descriptor)
        _link(part, path)
    finally:
        part.unlink(missing_ok=True)
    _sync(path.parent)


def _make_folder(path: Path) -> None:
    if not path.exists():
        path.mkdir(exist_ok=True)
        _sync(path.parent)


def _sync(folder: Path) -> None:
    """Have the names in a folder outlive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _link(part: Path, path: Path) -> None:
    """Give a whole file its name; unlike a rename this never replaces another one."""
    try:
        os.link(part, path)
    except FileExistsError:
        return
    except OSError as error:
        if error.errno not in NO_HARD_LINKS:
            raise
        part.rename(path)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    os.fsync(descriptor)
