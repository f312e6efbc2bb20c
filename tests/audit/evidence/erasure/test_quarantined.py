"""An erasure reaches what stands beside an event in the quarantine that has the id of a record; nothing else does."""

from typing import Any

import psycopg
import pytest

import dlq.stream
from audit.evidence.erasure import requests
from audit.formats.erasable import commitments
from audit.formats.event import Accepted, accept
from audit.ingest import record
from audit.ingest.record import document
from audit.models import Quarantined, Record
from audit.queue import drain, quarantine
from dlq.message import Document
from tests.audit.conftest import with_id
from tests.audit.evidence.erasure.conftest import RULES, asked, person


def an_event(email: str) -> Accepted:
    """Stored, with an address and an e-mail address beside it."""
    event = accept(with_id(event_data={"email": email}, actor_ip="192.0.2.7"), writer="shop", erasing=RULES)
    record.record([event])
    return event


def quarantined(parked: Document) -> Quarantined:
    """The same event once more, parked by another way and put aside."""
    queue = dlq.stream.for_drain()
    queue.park([parked], reason="tests")
    message = queue.pages.find(parked.key)
    assert message is not None
    quarantine.quarantine([message], cause="tests", by="somebody")
    return Quarantined.objects.get(message_id=message.id)


def erase(email: str, paths: str) -> None:
    request = requests.ask(asked(email, paths=paths), by="olga")
    requests.decide(request, approve=True, by="otto")
    assert requests.carry_out(request).done_at is not None


def left(row: Quarantined) -> set[str]:
    beside = Quarantined.objects.get(pk=row.pk).beside
    return set() if beside is None else {*commitments.from_text(bytes(beside))}


def test_what_is_erased_of_a_record_goes_from_the_quarantine_and_the_rest_stays_as_it_was() -> None:
    email, other = person(), quarantined(document(an_event(person())))
    event = an_event(email)
    row = quarantined(document(event))
    assert left(row) == {"actor_ip", "event_data.email"}

    erase(email, "event_data.email")

    assert (left(row), left(other)) == ({"actor_ip"}, {"actor_ip", "event_data.email"})
    kept = commitments.from_text(bytes(Quarantined.objects.get(pk=row.pk).beside or b""))
    assert event.beside is not None
    assert kept["actor_ip"] == event.beside["actor_ip"]
    assert email not in bytes(Quarantined.objects.get(pk=row.pk).beside or b"").decode()


def test_what_is_released_after_its_erasure_is_the_record_that_is_here() -> None:
    email = person()
    event = an_event(email)
    row = quarantined(document(event))
    erase(email, "event_data.email")
    quarantine.release(Quarantined.objects.get(pk=row.pk), by="somebody")
    drain.drain()
    assert dlq.stream.for_drain().pages.find(str(event.id)) is None
    assert Record.objects.get(pk=event.id).values().beside.keys() == {"actor_ip"}
    assert not Record.objects.filter(event_type="audit.event.conflict", event_data__event_id=str(event.id)).exists()


def test_what_cannot_be_read_beside_an_event_goes_whole() -> None:
    email = person()
    event = an_event(email)
    row = quarantined(Document(str(event.id), b"d" * 32, b"{}", "shop", "k", event.received_at, beside=b"\xff{"))
    erase(email, "event_data.email")
    assert Quarantined.objects.get(pk=row.pk).beside is None


@pytest.mark.parametrize(
    "change",
    [
        "beside = NULL",
        "beside = beside || '\\x20'",
        "body = '\\x7b7d'",
        "body = '\\x7b7d', beside = audit_beside_left(key, beside)",
    ],
)
def test_past_an_erasure_nothing_of_the_quarantine_changes(superuser: psycopg.Connection[Any], change: str) -> None:
    row = quarantined(document(an_event(person())))
    for statement in (
        f"UPDATE audit_quarantine SET {change} WHERE n = %s",
        "DELETE FROM audit_quarantine WHERE n = %s",
    ):
        with pytest.raises(psycopg.errors.IntegrityError, match="append-only"):
            superuser.execute(statement.encode(), [row.pk])
    assert left(row) == {"actor_ip", "event_data.email"}
