"""manifest: what a day's files hold, signed by the key of receipts.

`_manifest.json` is the manifest, `_manifest.txt` a note over its SHA-256. Programs that read folders of Parquet pass
over names that begin so.
"""

import hashlib
import json
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings

from audit.archive.span import Span
from audit.errors import AuditError
from audit.evidence.manifest import log_of, sign_note
from audit.formats import note
from audit.formats.note import NoteError
from audit.ledger import keys

FORMAT = "auditsite/day/v1"
MANIFEST, SIGNATURE = "_manifest.json", "_manifest.txt"
MAX_BYTES = 16 * 1024 * 1024


class DayFault(AuditError):
    """The files of a day are not what was signed."""


class Part(NamedTuple):
    """One file of a day: the leaves first to last - 1, a row each."""

    name: str
    first: int
    last: int
    bytes: int
    sha256: str


class Manifest(NamedTuple):
    """What a manifest says; its SHA-256."""

    day: date
    first: int
    last: int
    purged: int
    parts: list[Part]
    document: dict[str, Any]
    digest: str


def text_of(day: date, span: Span, parts: list[Part], *, purged: int, unredacted: bool) -> str:
    checkpoint = span.checkpoint
    document = {
        "manifest": FORMAT,
        "day": day.isoformat(),
        "system": settings.SITE_NAME,
        "range": {"first": span.first, "last": span.last},
        "records": span.last - span.first,
        "purged": purged,
        "unredacted": unredacted,
        "log": log_of(checkpoint),
        "note": checkpoint.note,
        "files": [
            {
                "name": part.name,
                "range": {"first": part.first, "last": part.last},
                "records": part.last - part.first,
                "bytes": part.bytes,
                "sha256": part.sha256,
            }
            for part in parts
        ],
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def sign(day: date, digest: str) -> str:
    """Return the note over a manifest with this SHA-256. Raises `KeyMissing`."""
    return sign_note("manifests of days are", FORMAT, day.isoformat(), digest)


def read(folder: Path) -> Manifest:
    """Return the manifest, as a key of receipts of this log has signed it. Raises `DayFault`, `KeyMissing`."""
    day, digest, origin = _signed(_text(folder, SIGNATURE))
    body = _text(folder, MANIFEST)
    if hashlib.sha256(body.encode()).hexdigest() != digest:
        raise DayFault(f"{MANIFEST} is not the manifest that was signed: it was changed, or is of another day.")
    document = json.loads(body)
    if (document["manifest"], document["day"], document["log"]["origin"]) != (FORMAT, day, origin):
        raise DayFault(f"{MANIFEST} is the manifest of another day than {SIGNATURE} says.")
    parts = [
        Part(each["name"], each["range"]["first"], each["range"]["last"], each["bytes"], each["sha256"])
        for each in document["files"]
    ]
    first, last = document["range"]["first"], document["range"]["last"]
    if [part.first for part in parts] + [last] != [first] + [part.last for part in parts]:
        raise DayFault(f"{MANIFEST} is signed, and its files do not hold its whole range.")
    return Manifest(date.fromisoformat(day), first, last, document["purged"], parts, document, digest)


def _signed(text: str) -> tuple[str, str, str]:
    """Return the day and the digest that a key of receipts has signed, and the name that the log had then."""
    try:
        signed, _ = note.verify(text, keys.receipts().verifiers)
        header, origin, day, digest, end = signed.split("\n")
    except (NoteError, ValueError) as error:
        raise DayFault(f"{SIGNATURE} does not hold: {error}.") from None
    if (header, end) != (FORMAT, "") or not keys.load().is_ours(origin):
        raise DayFault(f"{SIGNATURE} is not the signature of a day of this log.")
    return day, digest, origin


def _text(folder: Path, name: str) -> str:
    try:
        with (folder / name).open("rb") as file:
            body = file.read(MAX_BYTES + 1)
        if len(body) > MAX_BYTES:
            raise DayFault(f"{folder / name} has more than {MAX_BYTES} bytes: it is no manifest.")
        return body.decode()
    except OSError as error:
        raise DayFault(f"{folder / name} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise DayFault(f"{folder / name} was changed: it is not UTF-8.") from None
