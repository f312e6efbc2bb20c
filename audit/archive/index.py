"""index: the signed index of an archive, which names each volume with its range and digest, and the checkpoint.

`archive.json` is the index, `archive.txt` a note over its SHA-256, signed by the key of receipts.
"""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings

from audit.archive.folder import Target
from audit.evidence import manifest as bundle_manifest
from audit.formats import note
from audit.formats.note import NoteError
from audit.formats.times import timestamp_text
from audit.ledger import keys
from audit.models import Archive, ArchiveVolume, Checkpoint

FORMAT = "auditsite/archive/v1"
INDEX, SIGNATURE = "archive.json", "archive.txt"
# A note of five lines and some signatures is shorter.
MAX_SIGNATURE_BYTES = 64 * 1024
# An index names a volume in less than 400 bytes: more than a hundred thousand of them.
MAX_INDEX_BYTES = 64 * 1024 * 1024


class IndexFault(Exception):
    """The index is not one that this log has signed; the text says in which file."""

    def __init__(self, text: str, kind: str = "ALTERED"):
        super().__init__(text)
        self.kind = kind


class Index(NamedTuple):
    """What the index says, signed; its SHA-256."""

    id: UUID
    first: int
    last: int
    note: str
    size: int
    root: bytes
    volumes: list[ArchiveVolume]
    document: dict[str, Any]
    digest: str


def text_of(archive: Archive) -> str:
    """Return the index of an archive whose volumes are whole. The same volumes give the same text."""
    checkpoint = Checkpoint.objects.using("reader").get(number=archive.checkpoint)
    document = {
        "archive": FORMAT,
        "id": str(archive.pk),
        "system": settings.SITE_NAME,
        "created_by": archive.requested_by,
        "begun_at": timestamp_text(archive.requested_at),
        "range": {"first": archive.first, "last": archive.last},
        "records": archive.total,
        "log": bundle_manifest.log_of(checkpoint),
        # As it was signed: cosignatures come later, and are in each volume.
        "note": checkpoint.note,
        "volumes": [
            {
                "name": volume.name,
                "range": {"first": volume.first, "last": volume.last},
                "bytes": volume.bytes,
                "sha256": volume.sha256,
                "first_event": volume.since,
                "last_event": volume.until,
            }
            for volume in archive.volumes.all()
        ],
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def sign(archive: Archive, digest: str) -> str:
    """Return the note over an index with this SHA-256. Raises `KeyMissing`."""
    return bundle_manifest.sign_note("archives are", FORMAT, str(archive.pk), digest)


def signs(path: Path, archive: Archive) -> bool:
    """Whether a file is the signature over the index of this archive. Raises `KeyMissing`."""
    try:
        with path.open("rb") as file:
            identifier, digest, _ = _signed(file.read(MAX_SIGNATURE_BYTES).decode())
    except (IndexFault, UnicodeDecodeError):
        return False
    return (identifier, digest) == (str(archive.pk), archive.digest)


def read_id(target: Target) -> UUID | None:
    """Return the id that the files of a target claim, the signature or else the index; None where neither does."""
    for name, most in ((SIGNATURE, MAX_SIGNATURE_BYTES), (INDEX, MAX_INDEX_BYTES)):
        try:
            text = _text(target, name, most)
            return UUID(text.split("\n")[2] if name == SIGNATURE else json.loads(text)["id"])
        except (IndexFault, LookupError, TypeError, ValueError):
            continue
    return None


def read(target: Target) -> Index:
    """Return the index, as a key of receipts of this log has signed it. Raises `IndexFault`, `KeyMissing`."""
    identifier, digest, origin = _signed(_text(target, SIGNATURE, MAX_SIGNATURE_BYTES))
    body = _text(target, INDEX, MAX_INDEX_BYTES)
    if hashlib.sha256(body.encode()).hexdigest() != digest:
        raise IndexFault(f"{INDEX} is not the index that was signed: it was changed, or is of another archive")
    document = json.loads(body)
    if document["archive"] != FORMAT or document["id"] != identifier or document["log"]["origin"] != origin:
        raise IndexFault(f"{INDEX} is the index of another archive than {SIGNATURE} says")
    archive = UUID(identifier)
    volumes = [_volume(archive, number, facts) for number, facts in enumerate(document["volumes"], start=1)]
    log, span = document["log"], document["range"]
    ends = [span["first"], *(volume.last for volume in volumes)]
    if [volume.first for volume in volumes] != ends[:-1] or ends[-1] != span["last"]:
        raise IndexFault(f"{INDEX} is signed, and its volumes do not hold its whole range", "MISSING")
    root = base64.b64decode(log["root"])
    return Index(archive, span["first"], span["last"], document["note"], log["size"], root, volumes, document, digest)


def _volume(archive: UUID, number: int, facts: dict[str, Any]) -> ArchiveVolume:
    volume = ArchiveVolume(archive_id=archive, number=number, bytes=facts["bytes"], sha256=facts["sha256"])
    volume.first, volume.last = facts["range"]["first"], facts["range"]["last"]
    volume.since, volume.until = facts["first_event"], facts["last_event"]
    if volume.name != facts["name"]:
        raise IndexFault(f"{INDEX} names {facts['name']} where {volume.name} should be")
    return volume


def _signed(text: str) -> tuple[str, str, str]:
    """Return the id and the digest that a key of receipts has signed, and the name that the log had then."""
    receipts = keys.receipts()
    try:
        signed, _ = note.verify(text, receipts.verifiers)
        header, origin, identifier, digest, end = signed.split("\n")
    except (NoteError, ValueError) as error:
        raise IndexFault(f"{SIGNATURE} does not hold: {error}") from None
    if (header, end) != (FORMAT, "") or not keys.load().is_ours(origin):
        raise IndexFault(f"{SIGNATURE} is not the signature of an archive of this log")
    return identifier, digest, origin


def _text(target: Target, name: str, most: int) -> str:
    try:
        with target.get(name) as path, path.open("rb") as file:
            body = file.read(most + 1)
    except FileNotFoundError:
        raise IndexFault(f"{name} is missing", "MISSING") from None
    if len(body) > most:
        raise IndexFault(f"{name} has more than {most} bytes: it is no file of an archive")
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise IndexFault(f"{name} was changed: it is not UTF-8") from None
