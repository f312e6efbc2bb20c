"""check: hold the files of a day against their manifest, and each of their rows against the log."""

from pathlib import Path
from typing import NamedTuple

from audit.archive import keeping
from audit.archive.folder import Target
from audit.archive.places import Place, target_of
from audit.streams.days import make, manifest, part
from audit.streams.days.manifest import MANIFEST, SIGNATURE, DayFault, Manifest
from audit.streams.days.part import Part


class Checked(NamedTuple):
    """The manifest of a day whose files hold, and what the storage says of its locks; a folder says nothing."""

    manifest: Manifest
    notes: list[str]


def check(place: Place) -> Checked:
    """Return the manifest of a day whose files hold. Reads all rows, some at a time.

    Checked: the signature; that the range is the one that the log has for the day; that no other file is there, which
    would be read with the day; each file's bytes; that there is a row for each leaf, in order; and that id, digest and
    times of each row lead to the leaf. Raises `DayFault` for what does not hold, or is not locked though it has to be;
    `ArchiveUnusable`, `ParquetMissing`, `KeyMissing`, `NotSealed`, and database errors.
    """
    target = target_of(place)
    read = manifest.read(target)
    span = make.span_of(read.day)
    if (span.first, span.last) != (read.first, read.last):
        raise DayFault(
            f"The manifest of {read.day} has the log entries {read.first} to {read.last - 1}, and the log has for that "
            f"day {span.first} to {span.last - 1}."
        )
    names = [MANIFEST, SIGNATURE, *(each.name for each in read.parts)]
    if strange := sorted(target.list().keys() - {*names}):
        raise DayFault(
            f"{strange[0]} is there, and the manifest does not name it: whoever reads the day as a table reads it too. "
            "Find out who put it there, and take it away."
        )
    for each in read.parts:
        _check_part(target, each, is_unredacted=read.document["unredacted"])
    kept = keeping.look(target, names)
    if kept.unlocked:
        raise DayFault(f"{kept.unlocked[0]}, and ARCHIVE_LOCK_REQUIRED asks for it.")
    return Checked(read, kept.notes)


def _check_part(target: Target, wanted: Part, *, is_unredacted: bool) -> None:
    name = wanted.name
    try:
        with target.get(name) as path:
            digest = part.digest_of(path)
            if digest == wanted.sha256:
                _check_rows(path, wanted, is_unredacted=is_unredacted)
                return
            fault = f"is not the file that was signed: its SHA-256 is {digest}"
    except FileNotFoundError:
        fault = f"is missing: log entries {wanted.first} to {wanted.last - 1}"
    except OSError as error:
        raise DayFault(f"{target}/{name} cannot be read: {error.strerror}.") from None
    still = keeping.still_holding(target, name, lambda path: part.digest_of(path) == wanted.sha256)
    raise DayFault(f"{name} {fault}{still}.")


def _check_rows(path: Path, wanted: Part, *, is_unredacted: bool) -> None:
    if part.is_unredacted(path) not in (is_unredacted, None):
        raise DayFault(f"{wanted.name} and {MANIFEST} differ in whether rules of redaction were applied.")
    if (wrong := part.differing(path, wanted.first, wanted.last)) is not None:
        raise DayFault(f"{wanted.name}: the row of log entry {wrong} is not what the log has there, or is missing.")
