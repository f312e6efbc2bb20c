"""Scenes of receipts: for events that are stored, parked, late."""

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import dlq.stream
from audit.formats import receipt
from audit.formats.event import Accepted, accept
from audit.formats.note import Signer
from audit.formats.receipt import Promise
from audit.ingest.record import document
from audit.ledger import seal
from audit.models import BrokenPromise, OutboxAlarm, Record
from audit.receipts import verify
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


VERIFY = "/api/v1/audit/receipts/verify"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The alarms of a test, after what other tests left was told."""
    texts: list[str] = []
    BrokenPromise.objects.filter(told_at=None).update(told_at=datetime.now(UTC))
    OutboxAlarm.objects.filter(heard_at=None).update(heard_at=datetime.now(UTC))
    monkeypatch.setattr("dlq.alarm.tell", lambda name, text, **figures: texts.append(text) or True)
    yield texts


def seal_all() -> None:
    while seal.Sealer().once(from_start=True).more:
        pass


def states(*receipts: str) -> list[str]:
    return [one.state for one in verify.verify_receipts(receipts).results]


def broken_of(event: Accepted) -> list[Record]:
    """The records that name a broken promise of this event."""
    named = {"events": [{"event_id": str(event.id)}]}
    return list(Record.objects.filter(event_type="audit.receipt.broken", event_data__contains=named))
