"""The sealed log over HTTP: checkpoints, proofs, tiles, and verification on demand."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, ClassVar
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound, PermissionDenied, Throttled
from rest_framework.request import Request
from rest_framework.response import Response

from audit import visibility
from audit.api.auth import writer_name
from audit.api.base import PLAIN, ApiView, parameters
from audit.api.openapi import ledger as openapi
from audit.errors import Invalid
from audit.evidence import proof_bundle
from audit.formats import entry, event, note, tiles
from audit.formats.times import timestamp_text
from audit.ledger import keys, purged, reader
from audit.ledger.verify import pending, verify
from audit.ledger.verify.records import recomputed, rfc3339
from audit.ledger.verify.result import CUT_SHORT, FAILURES
from audit.models import Checkpoint, Leaf, Record, Verification
from audit.postgres import sql
from audit.streams import leaves
from audit.streams.batches import batches

PAGE = 100
ENTRIES = f"""
SELECT r.digest, r.id::text, r.received_at::text, r.parked_at::text, r.stored_at::text FROM audit_leaf l
JOIN {sql.RECORD_OF_LEAF} WHERE l.index >= %s AND l.index < %s ORDER BY l.index
"""
MAX_CORRELATION = 255
# So long a verification on demand may take, and so many of a process may run at once: one of a correlation of millions
# would hold its thread for minutes, and as many of them as there are threads the site. Another waits a moment for its
# turn: most take some milliseconds.
VERIFY_S, VERIFYING_MAX, TURN_S = 10.0, 3, 1.0
_turns = threading.BoundedSemaphore(VERIFYING_MAX)
MAX_LINES, MAX_LINES_BYTES = 1_000, 4 * 2**20


class LogView(ApiView):
    """A read-only view of the log for keys with the scope `read`."""

    scopes: ClassVar = {"GET": "read", "POST": "read"}


class ProofView(LogView):
    """The proof of one record (C2SP tlog-proof)."""

    @extend_schema(**openapi.GET_PROOF)
    def get(self, request: Request, event_id: UUID) -> HttpResponse:
        _record(event_id)
        evidence = reader.evidence(event_id)
        headers = {"Content-Disposition": f'attachment; filename="{event_id}.tlog-proof"'}
        return HttpResponse(evidence.proof.text, content_type=PLAIN, headers=headers)


class RecordBundleView(LogView):
    """One record with its proof, for `verify.py`."""

    @extend_schema(**openapi.GET_BUNDLE)
    def get(self, request: Request, event_id: UUID) -> HttpResponse:
        body = b"".join(proof_bundle.lines([_record(event_id)]))
        return HttpResponse(body, content_type="application/jsonl")


class CheckpointView(LogView):
    """The newest checkpoint, with its cosignatures."""

    @extend_schema(**openapi.GET_CHECKPOINT)
    def get(self, request: Request) -> HttpResponse:
        text = reader.full_note(reader.signed_head())
        return HttpResponse(text, content_type=PLAIN, headers={"Cache-Control": "no-cache"})


class KeysView(LogView):
    """The log's public keys, as the site claims them: compare them with keys from another channel."""

    @extend_schema(**openapi.GET_KEYS)
    def get(self, request: Request) -> HttpResponse:
        return HttpResponse("".join(f"{key}\n" for key in keys.load().verifiers), content_type=PLAIN)


class CheckpointsView(LogView):
    """All checkpoints, newest first."""

    @extend_schema(**openapi.GET_CHECKPOINTS)
    def get(self, request: Request) -> Response:
        before = _integer(request, "before", default=None)
        checkpoints = Checkpoint.objects.all() if before is None else Checkpoint.objects.filter(number__lt=before)
        rows = list(checkpoints[: PAGE + 1])
        lines: dict[int, list[str]] = {}
        for _name, line, number in reader.cosignatures([row.number for row in rows]):
            lines.setdefault(number, []).append(line)
        data = [
            {
                "number": row.number,
                "size": row.size,
                "root": bytes(row.root).hex(),
                "created_at": timestamp_text(row.created_at),
                "note": row.note + "".join(lines.get(row.number, [])),
            }
            for row in rows[:PAGE]
        ]
        return Response({"data": data, "next": rows[PAGE - 1].number if len(rows) > PAGE else None})


class ConsistencyView(LogView):
    """The proof that an older tree is a prefix of a newer one."""

    @extend_schema(**openapi.GET_CONSISTENCY)
    def get(self, request: Request) -> Response:
        first, size = _integer(request, "first"), reader.signed_head().size
        second = _integer(request, "second", default=size)
        if not 0 < first <= second <= size:
            raise Invalid({"first": f"must be above 0 and not above second, and second not above {size}"})
        proof = reader.consistency(first, second)
        return Response({"first": first, "second": second, "proof": [note.encode64(value) for value in proof]})


class TileView(LogView):
    """256 hashes of a level, or as many as there are (C2SP tlog-tiles)."""

    @extend_schema(**openapi.GET_TILE)
    def get(self, request: Request, level: int, address: str) -> HttpResponse:
        index, width = _tile(address, level)
        first, last = index * tiles.WIDTH, index * tiles.WIDTH + width
        look_up = reader.hashes([tiles.Run(level, first, last)])
        return _octets(b"".join(look_up(level, place) for place in range(first, last)))


class EntriesView(LogView):
    """The entries of 256 leaves, or as many as there are, each preceded by its length."""

    @extend_schema(**openapi.GET_ENTRIES)
    def get(self, request: Request, address: str) -> HttpResponse:
        index, width = _tile(address, 0)
        if visibility.scopes():
            raise PermissionDenied("A tile has entries of every writer; this key may read those of some: use events.")
        rows = sql.rows(ENTRIES, [index * tiles.WIDTH, index * tiles.WIDTH + width], using="reader")
        visibility.note_read(event_id for _, event_id, *_ in rows)
        entries = [
            entry.entry(bytes(digest), event_id, *(text and rfc3339(text) for text in times))
            for digest, event_id, *times in rows
        ]
        if len(entries) != width:
            gone = purged.spans(index * tiles.WIDTH, index * tiles.WIDTH + width)
            plans = ", ".join(sorted({str(span.plan) for span in gone}))
            why = f": removed by the purge {plans}" if plans else ""
            raise NotFound(
                f"Records of this tile are not here any more{why}; their leaves are: see the tile of level 0."
            )
        return _octets(b"".join(len(data).to_bytes(2, "big") + data for data in entries))


class LogEntriesView(LogView):
    """The records of the log from an entry on, each as a stream gives it to its targets."""

    @extend_schema(**openapi.GET_LOG_ENTRIES)
    def get(self, request: Request) -> HttpResponse:
        first, limit = _integer(request, "from"), _integer(request, "limit", default=PAGE)
        if not 1 <= limit <= MAX_LINES:
            raise Invalid({"limit": f"must be from 1 to {MAX_LINES}"})
        if visibility.scopes():
            raise PermissionDenied("The log has entries of every writer; this key may read those of some: use events.")
        if first > (size := reader.signed_head().size):
            raise NotFound(f"The log has {size} entries: it has not grown to entry {first}.")
        with closing(leaves.Log()) as log, closing(log.read(first, min(first + limit, size))) as lines:
            # At most so many bytes; of a single record as many as it has.
            page = next(batches(lines, most_records=limit, most_bytes=MAX_LINES_BYTES), None)
        taken = [] if page is None else page.lines
        visibility.note_read(str(line.event_id) for line in taken)
        following = first if page is None else page.last
        body = b'{"size":%d,"next":%d,"entries":[%b]}' % (size, following, b",".join(line.body for line in taken))
        return HttpResponse(body, content_type="application/json", headers={"Cache-Control": "no-store"})


class VerifyChainView(LogView):
    """Verify all records of one correlation, now."""

    @extend_schema(**openapi.VERIFY_CHAIN)
    def post(self, request: Request) -> Response:
        document = request.data if isinstance(request.data, dict) else {}
        correlation_id = document.get("correlation_id")
        if not isinstance(correlation_id, str) or not 0 < len(correlation_id) <= MAX_CORRELATION:
            raise Invalid({"correlation_id": f"is required: text of 1 to {MAX_CORRELATION} characters"})
        if errors := dict(event.text_faults("correlation_id", correlation_id)):
            raise Invalid(errors)
        pending.wait(correlation_id)
        with _turn():
            run = verify(
                "correlation",
                correlation_id=correlation_id,
                requested_by=writer_name(request),
                seconds=VERIFY_S,
            )
        return Response(_chain(run))


@contextmanager
def _turn() -> Iterator[None]:
    """Hold one of the places for verifications. Raises `Throttled`."""
    if not _turns.acquire(timeout=TURN_S):
        raise Throttled(VERIFY_S, f"{VERIFYING_MAX} correlations are being verified by this process already.")
    try:
        yield
    finally:
        _turns.release()


def _chain(run: Verification) -> dict[str, Any]:
    checked, unsealed = run.counts.get("records", 0), run.counts.get("unsealed", 0)
    tampered = [_tampered(finding.record_id, finding.detail) for finding in run.findings.all() if finding.record_id]
    return {
        "correlation_id": run.correlation_id,
        # What is merely not sealed yet was not tampered with: who reads this alone would take false for that.
        "is_valid": run.verdict not in FAILURES and bool(checked or unsealed) and not run.counts.get(CUT_SHORT),
        "verdict": run.verdict,
        "total_events": checked + unsealed,
        "verified_events": max(checked - len(tampered), 0),
        "unsealed_events": unsealed,
        "tampered_events": tampered,
        "not_covered": run.not_covered,
        "verification_time": timestamp_text(run.started_at),
        "message": _message(run, checked, unsealed),
    }


def _message(run: Verification, checked: int, unsealed: int) -> str:
    if not checked and not unsealed:
        return "No event has this correlation id: nothing was verified."
    if run.counts.get(CUT_SHORT):
        return f"The time was over after {checked + unsealed} events: nothing is said of the rest. See POST exports."
    if unsealed:
        return f"{unsealed} of {checked + unsealed} events are not sealed yet: the log shows nothing of those."
    return f"{checked} events checked against the signed log: {run.verdict}."


def _tampered(record_id: UUID, detail: str) -> dict[str, Any]:
    leaf = Leaf.objects.filter(record_id=record_id).first()
    record = Record.objects.filter(id=record_id).first()
    return {
        "event_id": str(record_id),
        "event_timestamp": timestamp_text(record.event_timestamp) if record else None,
        "expected_hash": bytes(leaf.leaf_hash).hex() if leaf else "",
        "actual_hash": recomputed(record).hex() if record else "",
        "previous_hash": "",
        "message": detail,
    }


def _record(event_id: UUID) -> Record:
    record = Record.objects.filter(id=event_id).first()
    if record is None:
        raise NotFound(purged.absent(event_id))
    return record


def _tile(address: str, level: int) -> tuple[int, int]:
    """Return index and width of the tile at an address; a partial tile must exist as far as the address says."""
    path, partial, width_text = address.partition(".p/")
    try:
        index = tiles.read_path(path)
        width = int(width_text) if partial else tiles.WIDTH
        if partial and (not 0 < width < tiles.WIDTH or str(width) != width_text):
            raise ValueError
    except ValueError:
        raise NotFound(f"{address} is not the address of a tile.") from None
    count = reader.signed_head().size // tiles.WIDTH**level if level < 8 else 0
    if index * tiles.WIDTH + width > count:
        raise NotFound("The log has not grown to this tile.")
    return index, width


def _octets(body: bytes) -> HttpResponse:
    headers = {"Cache-Control": "private, max-age=31536000, immutable"}
    return HttpResponse(body, content_type="application/octet-stream", headers=headers)


def _integer(request: Request, name: str, **default: Any) -> Any:
    text = parameters(request).get(name)
    if text is None and default:
        return default["default"]
    if text is None or not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Invalid({name: "must be a whole number"})
    return int(text)
