"""Receipts, and one that was broken."""

from audit.ingest.record import store
from audit.ledger import seal
from audit.models import BrokenPromise
from audit.receipts import verify
from tests.audit.receipts.conftest import an_accepted, late, parked, receipt_for


def a_broken_promise() -> BrokenPromise:
    event = an_accepted()
    verify.verify_receipts([late(event)])
    return BrokenPromise.objects.get(event_id=event.id)


def some_receipts() -> str:
    """Of events in every state, and of one that is nowhere."""
    sealed, stored, waiting, gone = (an_accepted() for _ in range(4))
    store([sealed], timeout_s=20)
    seal.Sealer().once(from_start=True)
    store([stored], timeout_s=20)
    parked(waiting)
    kept = receipt_for(sealed) + receipt_for(stored) + receipt_for(waiting, state="parked") + receipt_for(an_accepted())
    return kept + late(gone) + "auditsite/receipt/v1\nhello\n"
