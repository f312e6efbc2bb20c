"""POST receipts/verify and GET receipts/keys: what became of what was promised."""

from typing import Any, ClassVar

import structlog
from django.db import DatabaseError
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from audit.api.base import PLAIN, ApiView
from audit.api.openapi import receipts as openapi
from audit.errors import AuditError, Invalid
from audit.formats import merkle, note
from audit.formats.times import timestamp_text
from audit.ledger import heads, keys, reader
from audit.receipts import verify
from audit.receipts.verify import ReceiptResult

log = structlog.get_logger(__name__)

MAX_RECEIPTS = 20_000
# Proofs in one answer, so that it stays bounded; all others have their path.
MAX_PROOFS = 100


class ReceiptsVerifyView(ApiView):
    """For the writer that holds receipts as for the auditor whom it gave them to."""

    scopes: ClassVar = {"POST": ("write", "read")}
    works_without_postgres = ("POST",)

    @extend_schema(**openapi.VERIFY_RECEIPTS)
    def post(self, request: Request) -> Response:
        verified = verify.verify_receipts(_receipts(request.data))
        proofs = _proofs([result for result in verified.results if result.leaf is not None][:MAX_PROOFS])
        return Response(
            {
                "verdict": verified.verdict,
                "message": verified.sentence,
                "counts": verified.counts,
                "events": [_event(result, proofs.get(result.event_id)) for result in verified.results],
            }
        )


class ReceiptKeysView(ApiView):
    """The public keys of receipts, as the site claims them: compare them with those that you have another way."""

    scopes: ClassVar = {"GET": ("write", "read")}
    works_without_postgres = ("GET", "HEAD")

    @extend_schema(**openapi.GET_RECEIPT_KEYS)
    def get(self, request: Request) -> HttpResponse:
        return HttpResponse("".join(f"{key}\n" for key in keys.receipts().verifiers), content_type=PLAIN)


def _receipts(document: Any) -> list[str]:
    receipts = document.get("receipts") if isinstance(document, dict) else None
    if not isinstance(receipts, list) or not receipts or not all(isinstance(text, str) for text in receipts):
        raise Invalid({"receipts": "is required: an array of receipts, each the text of one, and one at least"})
    if len(receipts) > MAX_RECEIPTS:
        text = f"are {len(receipts):,}: at most {MAX_RECEIPTS:,} are verified at once, send them in parts"
        raise Invalid({"receipts": text})
    return receipts


def _event(result: ReceiptResult, proof: str | None) -> dict[str, Any]:
    body: dict[str, Any] = {"receipt": result.receipt, "state": result.state, "why": result.why}
    if result.promise is None:
        return body
    body |= {
        "event_id": result.event_id,
        "digest": result.digest,
        "writer": result.promise.writer,
        "promised": result.promise.state,
        "promised_at": timestamp_text(result.promise.promised_at),
        "sealed_by": timestamp_text(result.promise.sealed_by),
    }
    if result.leaf is not None:
        body |= {
            "leaf_index": result.leaf,
            "proof_path": f"/api/v1/audit/events/{result.record_id or result.event_id}/proof",
        }
    return body if proof is None else body | {"proof": proof}


def _proofs(sealed: list[ReceiptResult]) -> dict[str, str]:
    """The proofs against the newest checkpoint, by event. What cannot be proved now stands at its path."""
    if not sealed:
        return {}
    try:
        leaves = {each.event_id: each.leaf for each in sealed if each.leaf is not None}
        head = heads.give_out(covering=max(leaves.values(), default=0) + 1)
        leaves = {event_id: leaf for event_id, leaf in leaves.items() if leaf < head.size}
        text = reader.full_note(head)
        hashes = reader.inclusions(list(leaves.values()), head.size)
    except (AuditError, DatabaseError, merkle.ProofError) as error:
        log.error("receipts_without_proofs", error=type(error).__name__)
        return {}
    return {
        event_id: note.Proof(leaf, path, text).text
        for (event_id, leaf), path in zip(leaves.items(), hashes, strict=True)
    }
