"""extract: a few records at once, with their verification, signed: for what is too small for an evidence bundle.

It has no proofs. What is signed is that the store verified each record against its log when it answered.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import rfc8785

from audit.errors import Invalid, KeyMissing, TooManyMatch
from audit.evidence import redaction
from audit.evidence.request import Asker
from audit.formats import merkle, note
from audit.formats.times import timestamp_text
from audit.ingest import trail
from audit.ingest.trail import Where
from audit.ledger import keys, reader
from audit.ledger.verify.records import recomputed
from audit.models import Checkpoint, Export, Leaf, Record
from audit.search import query
from audit.search.query import Search

FORMAT = "auditsite/export/v1"
MOST = query.MAX_LIMIT


def make(asker: Asker, search: Search, filters: Mapping[str, str], *, unredacted: bool = False) -> dict[str, Any]:
    """All that match, newest first. Raises `Invalid`, `TooManyMatch`, `NotSealed`, `KeyMissing`, `NothingKept`."""
    if unredacted and not asker.may_unredacted:
        raise Invalid({"unredacted": "needs a right of its own: ask an officer for it, or leave this out"})
    kept = Export(redaction=[] if unredacted else redaction.in_force())
    redaction.refuse(search.query, kept.redaction)
    records, more = query.page(msgspec.structs.replace(search, limit=MOST))
    if more:
        raise TooManyMatch(f"More than {MOST:,} records match: narrow the query, or ask for a bundle (POST exports).")
    head = reader.signed_head()
    found, events = _verified(records, head), [record.as_json() for record in records]
    for event in events:
        event |= {"leaf_index": found[event["event_id"]][0], "verified": found[event["event_id"]][1], "redacted": None}
    _redact(kept, events)
    document = {
        "export_metadata": _metadata(asker, search, filters, kept, len(events), head),
        "events": events,
        "verification": _summary(found, head),
    }
    return document | {"signature": _sign(document, asker, kept)}


def _verified(records: Sequence[Record], head: Checkpoint) -> dict[str, tuple[int | None, bool | None]]:
    """Of each record its leaf, and whether it is what was sealed there; None for what is not sealed yet."""
    ids = [record.id for record in records]
    leaves = {leaf.record_id: leaf for leaf in Leaf.objects.using("reader").filter(record_id__in=ids)}
    indexes = sorted(leaf.index for leaf in leaves.values() if leaf.index < head.size)
    proofs = dict(zip(indexes, reader.inclusions(indexes, head.size), strict=True))
    return {str(record.id): _one(record, leaves, proofs, head) for record in records}


def _one(
    record: Record, leaves: Mapping[UUID, Leaf], proofs: Mapping[int, list[bytes]], head: Checkpoint
) -> tuple[int | None, bool | None]:
    leaf = leaves.get(record.id)
    if leaf is None or leaf.index not in proofs:
        return None, None
    try:
        merkle.verify_inclusion(recomputed(record), leaf.index, head.size, proofs[leaf.index], bytes(head.root))
    except merkle.ProofError:
        return leaf.index, False
    return leaf.index, record.digest_holds


def _redact(kept: Export, events: list[dict[str, Any]]) -> None:
    if (redactor := redaction.redactor(kept)) is None:
        return
    for event in events:
        event["redacted"] = redactor.redact(event) or None
    kept.volumes = [{"redacted": redactor.facts()}]


def _metadata(
    asker: Asker, search: Search, filters: Mapping[str, str], kept: Export, total: int, head: Checkpoint
) -> dict[str, Any]:
    return {
        "export": FORMAT,
        "export_id": str(kept.pk),
        "export_timestamp": timestamp_text(search.now),
        "export_format": "json",
        "exported_by": asker.name,
        "query_filters": dict(filters),
        "query": str(search.query),
        "sees": [{"writers": list(writers), "categories": list(categories)} for writers, categories in asker.sight],
        "total_events": total,
        "redaction": redaction.said(kept),
        "log": {"origin": keys.load().origin, "size": head.size, "root": note.encode64(bytes(head.root))},
    }


def _summary(found: Mapping[str, tuple[int | None, bool | None]], head: Checkpoint) -> dict[str, Any]:
    counts = Counter(verdict for _, verdict in found.values())
    checked = counts[True] + counts[False]
    return {
        "verification_timestamp": timestamp_text(datetime.now(UTC)),
        "total_events_verified": checked,
        "valid_events": counts[True],
        "tampered_event_ids": [event_id for event_id, (_, verdict) in found.items() if verdict is False],
        "not_sealed_events": counts[None],
        "integrity_percentage": round(100 * counts[True] / checked, 2) if checked else None,
        "checkpoint": reader.full_note(head),
    }


def _sign(document: dict[str, Any], asker: Asker, kept: Export) -> str:
    """A note over the RFC 8785 form of all the rest; that it is answered is recorded first, with the digest."""
    signer = keys.receipts().signer
    if signer is None:
        raise KeyMissing("This process has only public keys of receipts, and exports are signed: set RECEIPT_KEY_FILE.")
    digest = hashlib.sha256(rfc8785.dumps(document)).hexdigest()
    trail.add(
        "audit.export.answered",
        Where("service" if asker.by_service else "user", "security", ("export", str(kept.pk)), asker.address),
        actor=asker.name,
        correlation=f"export-{kept.pk}",
        query=document["export_metadata"]["query"],
        records=len(document["events"]),
        rules=[rule["name"] for rule in kept.redaction] or None,
        digest=digest,
    )
    text = f"{FORMAT}\n{keys.load().origin}\n{digest}\n"
    return note.join(text, [signer.sign(text)])
