"""What one writer may send: rates by events and bytes, and quotas of a UTC day."""

import json
import secrets
import time
from typing import Any

import pytest
from django.test import override_settings

from audit.access import api_keys, limits
from audit.access.api_keys import Principal, Quotas
from audit.api import throttles
from audit.models import Manifest
from audit.postgres.gateway import gateway
from tests.audit.conftest import BATCH, EVENTS, Sender, an_event, with_id

EXPORTS, MANIFESTS, HEARTBEATS = (f"/api/v1/audit/{place}" for place in ("exports", "manifests", "heartbeats"))


@pytest.fixture
def sender(django_db_setup: None) -> Sender:
    """A writer of its own: what it sends counts against nobody else."""
    return Sender("write", "read", "export")


def allow(sender: Sender, **quota: int) -> None:
    for name, value in quota.items():
        setattr(sender.writer, f"quota_{name}", value)
    sender.writer.save()
    api_keys.publish()


def batch(count: int, **changes: Any) -> list[dict[str, Any]]:
    return [an_event(**changes) for _ in range(count)]


def test_a_batch_counts_as_its_events(sender: Sender, settings: Any) -> None:
    settings.WRITER_RATE = "30/h"  # none comes while a slow machine sends these
    assert sender.post(batch(25), BATCH).status_code == 201
    refused = sender.post(batch(10), BATCH)
    assert refused.status_code == 429
    assert refused.json()["type"] == "/problems/rate-limited"
    assert "the writer's rate of events: 5 are left" in refused.json()["detail"]
    assert 300 < int(refused["Retry-After"]) <= 601  # five more come at one in two minutes
    assert sender.post(batch(5), BATCH).status_code == 201
    assert sender.get(EVENTS).status_code == 429


def test_a_batch_that_is_larger_than_the_bucket_passes_when_that_is_full(sender: Sender, settings: Any) -> None:
    settings.WRITER_RATE = "10/min"
    assert sender.post(batch(40), BATCH).status_code == 201
    refused = sender.post(an_event())
    assert refused.status_code == 429
    assert 180 < int(refused["Retry-After"]) <= 190  # thirty were sent ahead


def test_bytes_count_as_well(sender: Sender, settings: Any) -> None:
    settings.WRITER_BYTES_RATE = "20000/min"
    assert sender.post(an_event(event_data={"text": "x" * 15_000})).status_code == 201
    refused = sender.post(an_event(event_data={"text": "x" * 15_000}))
    assert refused.status_code == 429
    assert "rate of bytes" in refused.json()["detail"]
    assert sender.post(an_event()).status_code == 201


def test_a_bucket_fills_again(sender: Sender, settings: Any) -> None:
    settings.WRITER_RATE = "2/s"
    assert [sender.post(an_event()).status_code for _ in range(2)] == [201, 201]
    ends_at = time.monotonic() + 10
    while sender.post(an_event()).status_code == 429 and time.monotonic() < ends_at:
        time.sleep(0.05)
    assert time.monotonic() < ends_at


def test_a_quota_of_events_is_of_the_day_and_says_what_is_left(sender: Sender) -> None:
    allow(sender, events=7)
    assert sender.post(batch(4), BATCH).status_code == 201
    refused = sender.post(batch(4), BATCH)
    assert refused.status_code == 429
    assert "quota of events: 3 are left until" in refused.json()["detail"]
    assert 0 < int(refused["Retry-After"]) <= 86_401
    assert sender.post(batch(3), BATCH).status_code == 201
    assert sender.post(an_event()).status_code == 429
    assert sender.get(EVENTS).status_code == 200  # reading is not sending
    used = limits.usage(sender.name)
    assert used is not None and used.events == 7 and used.bytes > 1_000


def test_what_is_read_counts_for_the_rate_and_not_for_the_day(sender: Sender, settings: Any) -> None:
    settings.WRITER_RATE = "3/min"
    assert [sender.get(EVENTS).status_code for _ in range(2)] == [200, 200]
    assert sender.post(an_event()).status_code == 201
    assert sender.get(EVENTS).status_code == 429
    used = limits.usage(sender.name)
    assert used is not None and used.events == 1


@pytest.mark.slow
def test_what_is_answered_503_is_given_back_to_the_day(
    sender: Sender, own_queue: None, postgres: Any, settings: Any
) -> None:
    settings.DLQ_SPOOL_DIR = None
    allow(sender, events=4, bytes=100_000)
    assert sender.post(an_event()).status_code == 201
    before, documents = limits.usage(sender.name), batch(3)
    with postgres.stopped(), override_settings(DLQ_MIN_REPLICAS=1):
        for _ in range(3):
            answer = sender.post(documents, BATCH)
            assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
            assert limits.usage(sender.name) == before
    assert gateway().breaker.wait_closed(20)
    assert sender.post(documents, BATCH).status_code == 201
    assert sender.post(an_event()).status_code == 429


def test_what_is_refused_for_good_counts_for_the_day(sender: Sender) -> None:
    allow(sender, events=2)
    assert sender.post(an_event(event_type="A")).status_code == 400
    document = with_id()
    assert sender.post(document).status_code == 201
    assert sender.post(document | {"actor_id": "another"}).status_code == 429


def test_no_other_day_is_given_back_and_none_falls_below_nothing(sender: Sender) -> None:
    writer = Principal(sender.name, frozenset({"write"}), quotas=Quotas(events=9))
    charged = limits.charge(writer, 3, 300, (), sends=True)
    assert isinstance(charged, limits.Charge)
    limits.give_back(charged._replace(day=charged.day - 1))
    assert limits.usage(sender.name) == limits.Usage(3, 300)
    limits.give_back(charged._replace(events=1, bytes=100))
    assert limits.usage(sender.name) == limits.Usage(2, 200)
    limits.give_back(charged)
    assert limits.usage(sender.name) == limits.Usage()
    assert limits.charge(writer, 1, 10, (), sends=False) is None


def test_a_quota_of_bytes(sender: Sender) -> None:
    allow(sender, bytes=20_000)
    large = an_event(event_data={"text": "x" * 15_000})
    assert [sender.post(body).status_code for body in (large, large, an_event())] == [201, 429, 201]


def test_a_quota_of_epochs_counts_each_once(sender: Sender) -> None:
    allow(sender, epochs=2)

    def numbered(epoch: str, seq: int) -> int:
        return int(sender.post(an_event(source_epoch=epoch, source_seq=seq)).status_code)

    assert [numbered("a", 1), numbered("b", 1), numbered("a", 2), numbered("c", 1)] == [201, 201, 201, 429]
    assert sender.post(an_event()).status_code == 201  # without an epoch
    both = [an_event(source_epoch=epoch, source_seq=9) for epoch in ("b", "d")]
    refused = sender.post(both, BATCH)
    assert (refused.status_code, "quota of epochs: 0 are left" in refused.json()["detail"]) == (429, True)


def test_a_quota_of_open_manifests(sender: Sender) -> None:
    allow(sender, manifests=1)
    window = {"since": "2026-08-18T10:00:00Z", "until": "2026-08-18T11:00:00Z"}
    assert sender.post({**window, "count": 3}, MANIFESTS).status_code == 200
    assert throttles.open_manifests(sender.name) == 1
    refused = sender.post({**window, "count": 4}, MANIFESTS)
    assert (refused.status_code, "quota of open manifests: 0" in refused.json()["detail"]) == (429, True)
    Manifest.objects.filter(writer=sender.name).update(closed_at="2026-08-18T12:00:00Z")
    assert sender.post({**window, "count": 4}, MANIFESTS).status_code == 200


def test_a_quota_of_exports_of_nothing(sender: Sender) -> None:
    allow(sender, exports=0)
    refused = sender.post({"q": f"id:{secrets.token_hex(4)}"}, EXPORTS)
    assert (refused.status_code, "quota of exports: 0" in refused.json()["detail"]) == (429, True)


def test_what_cannot_be_read_is_400_and_not_429(sender: Sender) -> None:
    allow(sender, events=5)
    for body in (b"{", b"null", b"[]", json.dumps([1, "x"]).encode()):
        assert sender.post(body, BATCH).status_code == 400


def test_without_limits_redis_is_not_asked(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_connection", lambda: pytest.fail("asked"))
    assert sender.post(an_event()).status_code == 201
