"""POST receipts/verify and GET receipts/keys: what became of what was promised."""

from typing import Any, ClassVar

import structlog
from django.db import DatabaseError
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from audit.api.base import ApiView
from audit.api.negotiation import PLAIN, IgnoreAccept
from audit.api.openapi import receipts as openapi
from audit.errors import AuditError, Invalid
from audit.formats import merkle, note
from audit.formats.times import timestamp_text
from audit.ledger import keys, reader
from audit.receipts import verify
from audit.receipts.verify import Answer

log = structlog.get_logger(__name__)

MOST_RECEIPTS = 20_000
PROOFS = 100
"""So many proofs stand in one answer, so that it stays bounded; all others have their path."""


class ReceiptsVerifyView(ApiView):
    """For the writer that holds receipts as for the auditor whom it gave them to."""

    scopes: ClassVar = {"POST": ("write", "read")}
    works_without_postgres = ("POST",)

    @extend_schema(**openapi.VERIFY_RECEIPTS)
    def post(self, request: Request) -> Response:
        found = verify.redeem(_receipts(request.data))
        proofs = _proofs([one for one in found.answers if one.leaf is not None][:PROOFS])
        return Response(
            {
                "verdict": found.verdict,
                "message": found.sentence,
                "counts": found.counts,
                "events": [_event(one, proofs.get(one.event_id)) for one in found.answers],
            }
        )


class ReceiptKeysView(ApiView):
    """The public keys of receipts, as the site claims them: compare them with those that you have another way."""

    scopes: ClassVar = {"GET": ("write", "read")}
    works_without_postgres = ("GET", "HEAD")
    content_negotiation_class = IgnoreAccept

    @extend_schema(**openapi.GET_RECEIPT_KEYS)
    def get(self, request: Request) -> HttpResponse:
        return HttpResponse("".join(f"{key}\n" for key in keys.receipts().verifiers), content_type=PLAIN)


def _receipts(document: Any) -> list[str]:
    found = document.get("receipts") if isinstance(document, dict) else None
    if not isinstance(found, list) or not found or not all(isinstance(one, str) for one in found):
        raise Invalid({"receipts": "is required: an array of receipts, each the text of one, and one at least"})
    if len(found) > MOST_RECEIPTS:
        raise Invalid(
            {"receipts": f"are {len(found):,}: at most {MOST_RECEIPTS:,} are verified at once, send them in parts"}
        )
    return found


def _event(one: Answer, proof: str | None) -> dict[str, Any]:
    body: dict[str, Any] = {"receipt": one.receipt, "state": one.state, "why": one.why}
    if one.promise is None:
        return body
    body |= {
        "event_id": one.event_id,
        "digest": one.digest,
        "writer": one.promise.writer,
        "promised": one.promise.state,
        "promised_at": timestamp_text(one.promise.promised_at),
        "sealed_by": timestamp_text(one.promise.sealed_by),
    }
    if one.leaf is not None:
        body |= {"leaf_index": one.leaf, "proof_path": f"/api/v1/audit/events/{one.event_id}/proof"}
    return body if proof is None else body | {"proof": proof}


def _proofs(sealed: list[Answer]) -> dict[str, str]:
    """The proofs against the newest checkpoint, by event. What cannot be proved now stands at its path."""
    if not sealed:
        return {}
    try:
        head = reader.signed_head()
        text = reader.full_note(head)
        leaves = {one.event_id: one.leaf for one in sealed if one.leaf is not None and one.leaf < head.size}
        hashes = reader.inclusions(list(leaves.values()), head.size)
    except (AuditError, DatabaseError, merkle.ProofError) as error:
        log.error("receipts_without_proofs", error=type(error).__name__)
        return {}
    return {
        event_id: note.Proof(leaf, path, text).text
        for (event_id, leaf), path in zip(leaves.items(), hashes, strict=True)
    }
