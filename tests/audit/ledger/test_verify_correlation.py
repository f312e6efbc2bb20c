"""Verification of what belongs together: records of one correlation, sealed or not yet."""

from typing import Any

import psycopg
import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from audit.ledger import heads, reader, verify
from audit.ledger.publish import Publisher
from audit.ledger.seal import Sealer
from audit.ledger.verify.correlation import LATE
from audit.models import Checkpoint, Record
from tests.attacks.catalogue import record_id, statement
from tests.attacks.scene import Scene, send
from tests.audit.ledger.conftest import edit


def test_a_correlation_says_what_it_cannot_show(store: psycopg.Connection[Any]) -> None:
    correlation = Record.objects.get(id=record_id(store, 123)).correlation_id
    found = verify.verify("correlation", correlation_id=correlation)
    assert (found.verdict, found.counts["records"]) == ("VERIFIED", 120)
    assert any("removed" in text for text in found.not_covered)
    edit(store, 123)
    found = verify.verify("correlation", correlation_id=correlation)
    assert [one.index for one in found.findings.all()] == [123]
    statement(f"DELETE FROM audit_record WHERE id = '{record_id(store, 456)}'")(store, None)  # type: ignore[arg-type]
    verify.verify()
    found = verify.verify("correlation", correlation_id=correlation)
    assert any("known to be gone" in text for text in found.not_covered)


def test_a_record_that_was_changed_before_it_was_sealed_is_found(store: psycopg.Connection[Any]) -> None:
    (event,) = send(1)
    found = verify.verify("correlation", correlation_id=event.correlation_id)
    assert (found.verdict, found.counts["unsealed"]) == ("VERIFIED", 1)
    changed = f"UPDATE audit_record SET actor_id = 'nobody' WHERE id = '{event.id}'"
    statement(changed)(store, None)  # type: ignore[arg-type]
    found = verify.verify("correlation", correlation_id=event.correlation_id)
    assert [(finding.kind, finding.record_id) for finding in found.findings.all()] == [("ALTERED", event.id)]
    statement("DELETE FROM audit_unsealed")(store, None)  # type: ignore[arg-type]
    found = verify.verify("correlation", correlation_id=event.correlation_id)
    assert found.verdict == "UNKNOWN"


def test_what_was_sealed_since_the_head_was_read_is_not_called_altered(
    store: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (event,) = send(1)
    head = reader.signed_head()
    Sealer().once()
    monkeypatch.setattr("audit.ledger.reader.signed_head", lambda using="reader": head)
    found = verify.verify("correlation", correlation_id=event.correlation_id)
    assert (found.verdict, found.counts["unsealed"]) == ("VERIFIED", 1)


def test_what_witnesses_say_of_the_head_that_took_the_place_is_not_held_against_the_one_that_was_read(
    elsewhere: Scene, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SEAL_WITNESSES, settings.SEAL_KEEP_S = [elsewhere.witness], 1_000_000
    (event,) = send(1)
    sealer, read = Sealer(), reader.signed_head
    sealer.once(keep_each=False)

    def overtaken(using: str = "reader") -> Checkpoint:
        head = read(using)
        send(1)
        sealer.once(from_start=True, keep_each=False)
        following = heads.keep()
        assert following is not None and (following.number, following.size) == (head.number, head.size + 1)
        assert Publisher().publish(following) == [] and len(reader.cosignatures([head.number])) == 1
        # Nor is that given out with its note.
        assert reader.full_note(head) == head.note != reader.full_note(following) != following.note
        return head

    monkeypatch.setattr(reader, "signed_head", overtaken)
    found = verify.verify("correlation", correlation_id=event.correlation_id)
    assert (found.verdict, [finding.detail for finding in found.findings.all()]) == ("VERIFIED", [])


def test_a_correlation_is_read_in_pages(store: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.ledger.verify.correlation.CHUNK", 7)
    correlation = Record.objects.get(id=record_id(store, 123)).correlation_id
    assert verify.verify("correlation", correlation_id=correlation).counts["records"] == 120


def test_a_correlation_whose_time_is_over_is_not_verified(
    store: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit.ledger.verify.correlation.CHUNK", 7)
    correlation = Record.objects.get(id=record_id(store, 123)).correlation_id
    run = verify.verify("correlation", correlation_id=correlation, seconds=-1)
    assert (run.verdict, run.counts["records"]) == ("NOT COVERED", 7)
    assert run.ended_at is not None and LATE in run.not_covered
    monkeypatch.setattr("audit.ledger.verify.correlation.CHUNK", 1_000)
    assert verify.verify("correlation", correlation_id=correlation, seconds=-1).verdict == "VERIFIED", (
        "all were checked"
    )


def test_a_correlation_of_many_records_is_proved_by_few_statements(store: psycopg.Connection[Any]) -> None:
    correlation = Record.objects.get(id=record_id(store, 123)).correlation_id
    with CaptureQueriesContext(connections["reader"]) as queries:
        verify.verify("correlation", correlation_id=correlation)
    assert len(queries) < 20
