"""manifest: the signed manifest of an evidence bundle, the other files beside the records, and the zip of them all."""

import base64
import hashlib
import json
import tomllib
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.template.loader import render_to_string

import dlq.errors
import dlq.stream
from audit.errors import KeyMissing
from audit.evidence import purged_leaves, redaction, resumable_zip, volumes
from audit.formats import grammar, note, sampling
from audit.formats.note import AnySigner
from audit.formats.times import timestamp_text
from audit.ledger import keys, reader
from audit.models import Checkpoint, Export, Gap
from audit.search import terms

FORMAT = "auditsite/evidence/v1"
# Of a bundle with purged leaves (decision 45). Programs of before would call it altered; the line in its keys.txt is no
# key to them, so that they say "cannot be used", and what to take.
WITH_PURGED = "auditsite/evidence/v2"
TOO_NEW = f"{WITH_PURGED}: take the verify.py that is in this bundle, or a newer one"
MAX_NAMED_GAPS = 100
VERIFIER = settings.BASE_DIR / "verify.py"
VERSION = tomllib.loads((settings.BASE_DIR / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
PROVED = {
    "range": [
        "The records are exactly the leaves first to last-1 of the log: none is left out, none is changed, none is "
        "added. The hashes at the two ends of each volume, with all leaves between them, lead to the signed root."
    ],
    "query": ["Each record is in the log, at the leaf that it names, and as it was sealed."],
    "sample": [
        "Each record is in the log, at the leaf that it names, and as it was sealed.",
        "Of a range: that these are the leaves that the seed draws. verify.py draws them again.",
    ],
}
ASSERTED = {
    "range": ["What statement.json says of the queue and of gaps."],
    "query": [
        "That no other record matches the query, as far as the one who asked may see.",
        "What statement.json says of the queue and of gaps.",
    ],
    "sample": [
        "Of a query: of which leaves the sample was drawn. Whoever has all leaves of the log in a bundle of a range "
        "can look them up and draw again: verify.py sample.",
        "What statement.json says of the queue and of gaps.",
    ],
}
PURGED = {
    "proved": "Of each leaf whose record was purged its place in the log, and that a certificate covers it, which is "
    "signed and a record of the log.",
    "asserted": "That the records that were purged were due and held by nobody.",
}
REDACTED = {
    "proved": "Of each record its place in the log, id, digest and times; of those that are redacted no more.",
    "asserted": "What is left of the content of records that are redacted. Whoever has one of them whole can check it: "
    "verify.py evidence --originals.",
}


def write(export: Export, work: Path) -> tuple[dict[str, Any], str]:
    """Write the other files into the folder; return the manifest and its SHA-256. Raises `KeyMissing`."""
    checkpoint = Checkpoint.objects.using("reader").get(number=export.checkpoint)
    manifest = _manifest(export, checkpoint)
    texts = {
        "checkpoint.txt": reader.full_note(checkpoint),
        "keys.txt": "".join(f"{line}\n" for line in _keys(export)),
        "query.txt": _query(export),
        "statement.json": _json(_statement(export)),
        "README.html": render_to_string("evidence/readme.html", {"manifest": manifest, "export": export}),
        "verify.py": VERIFIER.read_text(encoding="utf-8"),
    }
    files = {name: volumes.write_file(work / name, [text.encode()]) for name, text in texts.items()}
    for name, lines in purged_leaves.files(manifest.get("purges", [])):
        files[name] = volumes.write_file(work / name, lines)
    for volume in export.volumes:
        files |= volume["files"]
    manifest["files"] = dict(sorted(files.items()))
    body = _json(manifest).encode()
    digest = hashlib.sha256(body).hexdigest()
    volumes.write_file(work / "manifest.json", [body])
    signature = sign_note("evidence is", manifest["evidence"], str(export.pk), digest)
    volumes.write_file(work / "manifest.txt", [signature.encode()])
    return manifest, digest


def pack(work: Path, manifest: dict[str, Any], path: Path) -> None:
    """Add the other files to the zip, after the volumes; those that are there already are left."""
    with zipfile.ZipFile(path, "a") as archive:
        there = {*archive.namelist()}
        for name in dict.fromkeys(("README.html", "manifest.json", "manifest.txt", *sorted(manifest["files"]))):
            if name not in there:
                resumable_zip.add(archive, name, work / name)
    resumable_zip.sync(path)


def _manifest(export: Export, checkpoint: Checkpoint) -> dict[str, Any]:
    manifest: dict[str, Any] = {
        "evidence": WITH_PURGED if export.purged else FORMAT,
        "id": str(export.pk),
        "system": settings.SITE_NAME,
        "version": VERSION,
        "kind": "sample" if export.sample else export.kind,
        "query": export.query,
        "terms": terms.plain(grammar.parse(export.query), export.requested_at),
        "sample": _sample(export),
        "range": {"first": export.first, "last": export.last} if export.kind == "range" else None,
        "received": export.received,
        "redaction": redaction.summary(export),
        "unredacted": export.unredacted,
        "sees": [{"writers": writers, "categories": categories} for writers, categories in export.sight],
        "requested_by": export.requested_by,
        "requested_at": timestamp_text(export.requested_at),
        "made_at": timestamp_text(datetime.now(UTC)),
        "as_of": timestamp_text(checkpoint.created_at),
        "time_zone": "UTC",
        "records": export.records,
    }
    first, last = (export.volumes[place] if export.volumes else {} for place in (0, -1))
    manifest |= {"first_leaf": first.get("first"), "last_leaf": last.get("last")}
    manifest |= {"first_event": _since(export), "last_event": _until(export)}
    manifest["volumes"] = [{name: facts[name] for name in facts if name != "files"} for facts in export.volumes]
    root = base64.b64encode(bytes(checkpoint.root)).decode()
    manifest["log"] = {"origin": keys.load().origin, "size": checkpoint.size, "root": root}
    claims = {"proved": PROVED[manifest["kind"]], "asserted": ASSERTED[manifest["kind"]]}
    if export.purged:
        manifest |= {"purged": export.purged, "purges": purged_leaves.summary(export)}
        claims = {name: [*texts, PURGED[name]] for name, texts in claims.items()}
    if manifest["redaction"]:
        claims = {name: [*texts, REDACTED[name]] for name, texts in claims.items()}
    return manifest | {"completeness": claims}


def _keys(export: Export) -> list[str]:
    known = [str(key) for key in (*keys.load().current, *keys.receipts().current)]
    return [TOO_NEW, *known] if export.purged else known


def log_of(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the log as a manifest names it: its origin, and the checkpoint that everything is proved against."""
    root = base64.b64encode(bytes(checkpoint.root)).decode()
    return {"origin": keys.load().origin, "checkpoint": checkpoint.number, "size": checkpoint.size, "root": root}


def receipt_signer(what: str) -> AnySigner:
    """The key of receipts, to sign `what`, named with its verb as for `sign_note`. Raises `KeyMissing`."""
    signer = keys.receipts().signer
    if signer is None:
        raise KeyMissing(f"This process has only public keys of receipts, and {what} signed: set RECEIPT_KEY_FILE.")
    return signer


def sign_note(what: str, *lines: str) -> str:
    """A note signed with the key of receipts: the format, the log's origin, the other lines. Raises `KeyMissing`.

    `what` and its verb, such as "exports are", go into the error.
    """
    signer = receipt_signer(what)
    text = "".join(f"{line}\n" for line in (lines[0], keys.load().origin, *lines[1:]))
    return note.join(text, [signer.sign(text)])


def _sample(export: Export) -> dict[str, Any] | None:
    if export.sample is None:
        return None
    return {"size": export.sample, "seed": export.seed, "population": export.population, "rank": sampling.HEADER}


def _query(export: Export) -> str:
    text = f"{export.query}\nspans such as 7d count back from {timestamp_text(export.requested_at)}\n"
    if export.kind == "range":
        text = f"leaves {export.first} to {export.last - 1} of the log\n"
        if window := export.received:
            text += f"from the first to the last of the {window['records']} that were received "
            text += f"from {window['since']} to before {window['until']}\n"
    if export.sample:
        return f"a sample of {export.sample} of {export.population}, drawn with the seed {export.seed}\n{text}"
    return text


def _statement(export: Export) -> dict[str, Any]:
    """What waits in the queue, and which events never came, at the time of making."""
    gaps = Gap.objects.filter(closed_at=None).select_related("numbering").order_by("found_at", "id")
    if since := _since(export):
        gaps = gaps.filter(Q(after_at=None) | Q(after_at__lte=_until(export)), before_at__gte=since)
    if export.sight:
        writers_seen = {name for writers, categories in export.sight if not categories for name in writers}
        gaps = gaps.filter(numbering__writer__in=writers_seen)
    return {
        "at": timestamp_text(datetime.now(UTC)),
        "window": {"since": since or None, "until": _until(export) or None},
        "queue": _queue(),
        "open_gaps": gaps.count(),
        "gaps": [{"id": gap.pk, "state": gap.state, **gap.facts()} for gap in gaps[:MAX_NAMED_GAPS]],
    }


def _queue() -> dict[str, int] | str:
    try:
        stats = dlq.stream.for_drain().totals.stats()
    except dlq.errors.Refused:
        return "unknown: Redis did not answer"
    return {"waiting": stats.due + stats.leased, "dead": stats.dead}


def _since(export: Export) -> str:
    return min((volume["since"] for volume in export.volumes if volume["count"]), default="")


def _until(export: Export) -> str:
    return max((volume["until"] for volume in export.volumes if volume["count"]), default="")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"
