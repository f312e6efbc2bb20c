"""extract: a few records with their verification in one signed answer, for what is too small for an evidence bundle.

It has no proofs. The signature is for the store's word that it verified each record against its log when it answered.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import rfc8785

from audit.errors import TooManyMatch
from audit.evidence import redaction, upstream_form
from audit.evidence.manifest import sign_note
from audit.evidence.request import Requester, refuse_unredacted
from audit.formats import merkle, note
from audit.formats.times import timestamp_text
from audit.ingest import trail
from audit.ledger import heads, keys, reader
from audit.ledger.verify.records import recomputed
from audit.models import Checkpoint, Export, Leaf, Record
from audit.postgres import sql
from audit.postgres.portions import PORTION_BYTES
from audit.search import query
from audit.search.query import Search

FORMAT = "auditsite/export/v1"
MAX_RECORDS = query.MAX_LIMIT
# As many bytes as are read at once, so many times.
MAX_PORTIONS = 4


class LeafVerdict(NamedTuple):
    """The leaf of a record, and whether the record is what was sealed there; None for both before it is sealed."""

    leaf: int | None = None
    holds: bool | None = None


class Wanted(NamedTuple):
    """How an extract is asked for: of more than MAX_RECORDS one page at a time, where `page` says how many."""

    unredacted: bool = False
    personal: bool = False  # whether what is personal is masked, whatever the rules
    detached: bool = False
    page: int | None = None


USUAL = Wanted()


def make(requester: Requester, search: Search, filters: Mapping[str, str], wanted: Wanted = USUAL) -> dict[str, Any]:
    """All that match, newest first. Raises `Invalid`, `TooManyMatch`, `NotSealed`, `KeyMissing`, `NothingKept`."""
    refuse_unredacted(requester, wanted.unredacted)
    # Not saved: an extract is redacted and named as a bundle is.
    export = Export(redaction=[] if wanted.unredacted else redaction.in_force())
    if wanted.personal:
        export.redaction = [*export.redaction, *upstream_form.personal_rules()]
    redaction.refuse(search.query, export.redaction)
    limit = min(MAX_RECORDS, wanted.page or MAX_RECORDS)
    ids, more = query.page_ids(msgspec.structs.replace(search, limit=limit))
    if more and wanted.page != limit:
        raise TooManyMatch(
            f"More than {MAX_RECORDS:,} records match: narrow the query, or ask for a bundle (POST exports)."
        )
    records = _in_memory(ids)
    checkpoint = heads.give_out()
    verdicts = _verify(records, checkpoint)
    valid = [
        record.digest_holds if verdict.holds is None else verdict.holds
        for record, verdict in zip(records, verdicts, strict=True)
    ]
    held = {record_id for (record_id,) in sql.rows(sql.HELD, [ids], using="reader")}
    events = [
        record.as_json()
        | {"leaf_index": verdict.leaf, "verified": verdict.holds, "redacted": None}
        | {"hash_chain_valid": holds, "legal_hold": record.id in held}
        for record, verdict, holds in zip(records, verdicts, valid, strict=True)
    ]
    summary = _summary(records, verdicts, checkpoint)
    chain = upstream_form.verification([event["event_id"] for event in events], valid)
    _redact(export, events)
    signed = upstream_form.signature(events, chain)
    document = {
        "export_metadata": _metadata(requester, search, filters, export, len(events), checkpoint) | signed,
        "events": events,
        "verification": summary,
        "hash_chain_verification": chain,
    }
    if wanted.detached:
        document["detached_signature"] = upstream_form.detached(signed)
    return document | {"signature": _sign(document, requester, export)}


def _in_memory(ids: Sequence[UUID]) -> list[Record]:
    """All records: they are signed together. Raises `TooManyMatch` where they are too long for that."""
    records: list[Record] = []
    for turn, portion in enumerate(query.in_portions(ids)):
        if turn == MAX_PORTIONS:
            raise TooManyMatch(
                f"The records that match have more than {MAX_PORTIONS * PORTION_BYTES >> 20} MiB: narrow the query, or "
                "ask for a bundle (POST exports)."
            )
        records += portion
    return records


def _verify(records: Sequence[Record], checkpoint: Checkpoint) -> list[LeafVerdict]:
    rows = Leaf.objects.using("reader").filter(record_id__in=[record.id for record in records])
    leaves = {leaf.record_id: leaf.index for leaf in rows if leaf.index < checkpoint.size}
    indexes = sorted(leaves.values())
    proofs = dict(zip(indexes, reader.inclusions(indexes, checkpoint.size), strict=True))
    return [
        _verify_one(record, leaves[record.id], proofs[leaves[record.id]], checkpoint)
        if record.id in leaves
        else LeafVerdict()
        for record in records
    ]


def _verify_one(record: Record, index: int, proof: list[bytes], checkpoint: Checkpoint) -> LeafVerdict:
    try:
        merkle.verify_inclusion(recomputed(record), index, checkpoint.size, proof, bytes(checkpoint.root))
    except merkle.ProofError:
        return LeafVerdict(index, False)
    return LeafVerdict(index, record.digest_holds)


def _redact(export: Export, events: list[dict[str, Any]]) -> None:
    if (redactor := redaction.redactor(export)) is None:
        return
    for event in events:
        event["redacted"] = redactor.redact(event) or None
    export.volumes = [{"redacted": redactor.facts()}]


def _metadata(
    requester: Requester, search: Search, filters: Mapping[str, str], export: Export, total: int, checkpoint: Checkpoint
) -> dict[str, Any]:
    return {
        "export": FORMAT,
        "export_id": str(export.pk),
        "export_timestamp": timestamp_text(search.now),
        "export_format": "json",
        "exported_by": requester.name,
        "query_filters": upstream_form.filters_shown(filters),
        "query": str(search.query),
        "sees": [{"writers": list(writers), "categories": list(names)} for writers, names in requester.sight],
        "total_events": total,
        "redaction": redaction.summary(export),
        "log": {"origin": keys.load().origin, "size": checkpoint.size, "root": note.encode64(bytes(checkpoint.root))},
    }


def _summary(records: Sequence[Record], verdicts: Sequence[LeafVerdict], checkpoint: Checkpoint) -> dict[str, Any]:
    counts = Counter(verdict.holds for verdict in verdicts)
    checked = counts[True] + counts[False]
    tampered = [str(record.id) for record, verdict in zip(records, verdicts, strict=True) if verdict.holds is False]
    return {
        "verification_timestamp": timestamp_text(datetime.now(UTC)),
        "total_events_verified": checked,
        "valid_events": counts[True],
        "tampered_event_ids": tampered,
        "not_sealed_events": counts[None],
        "integrity_percentage": round(100 * counts[True] / checked, 2) if checked else None,
        "checkpoint": reader.full_note(checkpoint),
    }


def _sign(document: dict[str, Any], requester: Requester, export: Export) -> str:
    """A note over the RFC 8785 form of the document. Its digest is recorded before the answer leaves."""
    digest = hashlib.sha256(rfc8785.dumps(document)).hexdigest()
    signature = sign_note("exports are", FORMAT, digest)
    trail.add(
        "audit.export.answered",
        requester.where("export", export.pk),
        actor=requester.name,
        correlation=f"export-{export.pk}",
        query=document["export_metadata"]["query"],
        records=len(document["events"]),
        rules=[rule["name"] for rule in export.redaction] or None,
        digest=digest,
    )
    return signature
