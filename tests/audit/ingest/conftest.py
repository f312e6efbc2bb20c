"""Scenes of ingest: a queue that is empty, and events that are parked."""

from collections.abc import Iterator
from typing import Any

import pytest

from audit.formats.event import accept
from audit.ingest import record
from audit.models import Record
from audit.postgres.gateway import gateway
from audit.queue import drain


@pytest.fixture
def empty_queue(own_queue: None) -> Iterator[None]:
    """A queue of its own; what a test has left in it is stored in the end, as was promised."""
    yield
    assert gateway().breaker.wait_closed(20)
    drain.drain(seconds=20)


def stored(correlation_id: str) -> list[Record]:
    return list(Record.objects.filter(correlation_id=correlation_id))


def park(*documents: dict[str, Any], writer: str = "tests") -> list[Any]:
    accepted = [accept(document, writer=writer) for document in documents]
    record._park(accepted, record.Fault.DOWN)
    return accepted
