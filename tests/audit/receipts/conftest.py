"""Scenes of receipts: for events that are stored, parked, late."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import dlq.stream
from audit.formats import receipt
from audit.formats.event import Accepted, accept
from audit.formats.note import Signer
from audit.formats.receipt import Promise
from audit.ingest.record import document
from dlq.message import Message
from tests.audit.conftest import an_event
from tests.servers import RECEIPT_KEY

PAST = datetime(2026, 1, 1, tzinfo=UTC)


def an_accepted(**changes: Any) -> Accepted:
    return accept(an_event(**changes), writer=f"writer-{secrets.token_hex(4)}")


def receipt_for(*events: Accepted, sealed_by: datetime | None = None, key: Signer = RECEIPT_KEY, **changes: Any) -> str:
    """A receipt as the store signs it, whatever it did with the events."""
    now = datetime.now(UTC)
    values = {
        "origin": "tests.example/log",
        "writer": events[0].writer,
        "state": "stored",
        "promised_at": now,
        "sealed_by": sealed_by or now + timedelta(minutes=5),
        "events": {str(one.id): one.digest.hex() for one in events},
    }
    return receipt.sign(Promise(**(values | changes)), key)


def late(*events: Accepted, **changes: Any) -> str:
    return receipt_for(*events, sealed_by=PAST, **changes)


def parked(event: Accepted) -> Message:
    dlq.stream.for_drain().park([document(event)], reason="database-down")
    found = dlq.stream.for_drain().pages.find(str(event.id))
    assert found is not None
    return found
