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

from audit.archive import keeping
from audit.archive.folder import Target
from audit.archive.span import Span
from audit.errors import AuditError
from audit.evidence.manifest import log_of, receipt_signer, sign_note
from audit.formats import note
from audit.ledger import keys
from audit.streams.days.part import Kind, Part, digest_of

FORMAT = "auditsite/day/v1"
MANIFEST, SIGNATURE = "_manifest.json", "_manifest.txt"
MAX_BYTES = 16 * 1024 * 1024
_WHAT = "manifests of days are"


class DayFault(AuditError):
    """The files of a day are not what was signed."""


class Manifest(NamedTuple):
    """What a manifest says; its SHA-256."""

    day: date
    first: int
    last: int
    purged: int
    parts: list[Part]
    document: dict[str, Any]
    digest: str


def text_of(kind: Kind, span: Span, parts: list[Part], *, purged: int) -> str:
    checkpoint = span.checkpoint
    document = {
        "manifest": FORMAT,
        "day": kind.day.isoformat(),
        "system": settings.SITE_NAME,
        "range": {"first": span.first, "last": span.last},
        "records": span.last - span.first,
        "purged": purged,
        "unredacted": kind.unredacted,
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


def require_key() -> None:
    """Raises `KeyMissing` where this process could not sign a manifest."""
    receipt_signer(_WHAT)


def sign(day: date, digest: str) -> str:
    """Return the note over a manifest with this SHA-256. Raises `KeyMissing`."""
    return sign_note(_WHAT, FORMAT, day.isoformat(), digest)


def read(target: Target) -> Manifest:
    """Return the manifest, as a key of receipts of this log has signed it.

    Raises `DayFault`, `KeyMissing`, `ArchiveUnusable`.
    """
    day, digest, origin = _signed(target)
    body = text(target, MANIFEST)
    if hashlib.sha256(body.encode()).hexdigest() != digest:
        still = keeping.still_holding(target, MANIFEST, lambda path: digest_of(path) == digest)
        raise DayFault(f"{MANIFEST} is not the manifest that was signed: it was changed, or is of another day{still}.")
    document = json.loads(body)
    if (document["manifest"], document["day"], document["log"]["origin"]) != (FORMAT, day, origin):
        raise DayFault(f"{MANIFEST} is the manifest of another day than {SIGNATURE} says.")
    parts = files(body)
    first, last = document["range"]["first"], document["range"]["last"]
    if [part.first for part in parts] + [last] != [first] + [part.last for part in parts]:
        raise DayFault(f"{MANIFEST} is signed, and its files do not hold its whole range.")
    return Manifest(date.fromisoformat(day), first, last, document["purged"], parts, document, digest)


def files(body: str) -> list[Part]:
    """Return the files that a manifest names."""
    return [
        Part(each["name"], each["range"]["first"], each["range"]["last"], each["bytes"], each["sha256"])
        for each in json.loads(body)["files"]
    ]


def text(target: Target, name: str) -> str:
    """Return the text of the manifest, or of its signature. Raises `DayFault`, `ArchiveUnusable`."""
    try:
        with target.get(name) as path, path.open("rb") as file:
            body = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        still = keeping.still_holding(target, name, lambda path: True)
        what = still or ", so the day is not whole: `manage.py stream day` goes on with it"
        raise DayFault(f"{target}/{name} is missing{what}.") from None
    except OSError as error:
        raise DayFault(f"{target}/{name} cannot be read: {error.strerror}.") from None
    if len(body) > MAX_BYTES:
        raise DayFault(f"{target}/{name} has more than {MAX_BYTES} bytes: it is no manifest.")
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise DayFault(f"{target}/{name} was changed: it is not UTF-8.") from None


def _signed(target: Target) -> tuple[str, str, str]:
    """Return the day and the digest that a key of receipts has signed, and the name that the log had then."""
    body = text(target, SIGNATURE)
    try:
        return _read_signature(body)
    except ValueError as error:
        still = keeping.still_holding(target, SIGNATURE, _is_signature)
        raise DayFault(f"{SIGNATURE} does not hold: {error}{still}.") from None


def _read_signature(body: str) -> tuple[str, str, str]:
    """Raises `ValueError`, which says what is wrong with it."""
    signed, _ = note.verify(body, keys.receipts().verifiers)
    header, origin, day, digest, end = signed.split("\n")
    if (header, end) != (FORMAT, "") or not keys.load().is_ours(origin):
        raise ValueError("it is not the signature of a day of this log")
    return day, digest, origin


def _is_signature(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            _read_signature(file.read(MAX_BYTES).decode())
    except ValueError:
        return False
    return True
