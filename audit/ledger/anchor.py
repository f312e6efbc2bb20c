"""Keep checkpoints outside of the database, in a file or a directory that the store only appends to."""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from django.conf import settings

from audit.formats import note
from audit.models import Checkpoint

# A line of the file is shorter: so much of its end is read for the last one.
LAST_LINE_BYTES = 64 * 1024


class Anchored(NamedTuple):
    """A checkpoint as the anchor holds it."""

    where: str
    note: str


def anchor(checkpoint: Checkpoint, text: str) -> None:
    """Append a checkpoint to the anchor, and flush it to disk. Raises `OSError`."""
    if settings.SEAL_ANCHOR_FILE is not None:
        line = {"anchored_at": datetime.now(UTC).isoformat(), "note": text}
        _write(settings.SEAL_ANCHOR_FILE, json.dumps(line, ensure_ascii=False) + "\n", os.O_APPEND)
    if settings.SEAL_ANCHOR_DIR is not None:
        name = f"{checkpoint.size:020d}-{checkpoint.number:012d}.checkpoint"
        if not (settings.SEAL_ANCHOR_DIR / name).exists():
            _write(settings.SEAL_ANCHOR_DIR / name, text, os.O_EXCL)


def anchored() -> Iterator[Anchored]:
    """Yield every anchored checkpoint, in the order in which they were written."""
    if (path := settings.SEAL_ANCHOR_FILE) is not None and path.exists():
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                yield Anchored(f"{path.name} line {number}", _note_of(line))
    for path in _anchor_files():
        yield Anchored(path.name, path.read_text(encoding="utf-8"))


def newest_anchored() -> list[Anchored]:
    """Return the last checkpoint of the file, and that of the directory."""
    newest = [Anchored("the last line of the anchor file", _note_of(line)) for line in _last_line()]
    return newest + [Anchored(file.name, file.read_text(encoding="utf-8")) for file in _anchor_files()[-1:]]


def last_anchored() -> note.TreeHead | None:
    """Return the newest head of the anchor, its signature not checked; None where no checkpoint can be read."""
    heads = []
    for anchored_note in newest_anchored():
        with suppress(note.NoteError):
            heads.append(note.TreeHead.parse(note.split(anchored_note.note)[0]))
    return max(heads, key=lambda head: head.size, default=None)


def has_anchor() -> bool:
    return settings.SEAL_ANCHOR_FILE is not None or settings.SEAL_ANCHOR_DIR is not None


def empty_anchors() -> list[str]:
    """Name the anchors that are configured and hold no checkpoint."""
    file, folder = settings.SEAL_ANCHOR_FILE, settings.SEAL_ANCHOR_DIR
    empty = [] if file is None or _last_line() else [f"file {file.name}"]
    return empty + ([] if folder is None or _anchor_files() else [f"folder {folder.name}"])


def _anchor_files() -> list[Path]:
    folder = settings.SEAL_ANCHOR_DIR
    return [] if folder is None else sorted(folder.glob("*.checkpoint"))


def _note_of(line: str) -> str:
    try:
        return str(json.loads(line)["note"])
    except (ValueError, KeyError, TypeError):
        return ""  # a line that was damaged: verification names it, for it is no note


def _last_line() -> list[str]:
    path = settings.SEAL_ANCHOR_FILE
    if path is None or not path.exists():
        return []
    with path.open("rb") as file:
        file.seek(max(file.seek(0, os.SEEK_END) - LAST_LINE_BYTES, 0))
        lines = file.read().decode("utf-8", "replace").splitlines()
    return lines[-1:]


def _write(path: Path, text: str, flag: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | flag, 0o644)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
