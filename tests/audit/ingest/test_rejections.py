"""Refused events are counted each once, by writer and reason, and a few are kept to look at."""

import gzip
import json
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import uuid_utils.compat
from django.db.models import Sum
from django.test import override_settings

import dlq.client
from audit import metrics
from audit.errors import Invalid
from audit.formats.event import accept
from audit.ingest import rejection_counters, rejections
from audit.ingest.rejections import Refusal
from audit.models import RejectedSample, Rejection
from tests.audit.conftest import BATCH, EVENTS, Sender, an_event

GZIP = {"Content-Encoding": "gzip"}
NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture
def sender() -> Sender:
    return Sender("write")


@pytest.fixture(autouse=True)
def own_counts() -> Iterator[None]:
    with override_settings(DLQ_PREFIX=f"test-{secrets.token_hex(6)}"):
        yield


def counted(sender: Sender) -> dict[str, int]:
    rejection_counters.gather()
    rows = Rejection.objects.filter(writer=sender.name).values("reason").annotate(count=Sum("events"))
    return {row["reason"]: row["count"] for row in rows}


def samples(sender: Sender) -> list[RejectedSample]:
    rejection_counters.gather()
    return list(RejectedSample.objects.filter(writer=sender.name))


def test_of_a_batch_each_event_is_counted_by_its_own_reason(sender: Sender) -> None:
    without = an_event()
    del without["event_type"]
    batch = [an_event(), without, an_event(event_outcome="maybe"), an_event(strange=1), an_event()]
    assert sender.post(batch, BATCH).status_code == 400
    expected = {"event_type: missing": 1, "event_outcome: not valid": 1, "unknown field": 1}
    assert counted(sender) == {**expected, rejections.WITH_ITS_BATCH: 2}
    kept = {one.reason: json.loads(bytes(one.body)) for one in samples(sender)}
    assert kept == {
        "event_type: missing": batch[1],
        "event_outcome: not valid": batch[2],
        "unknown field": batch[3],
    }


@pytest.mark.parametrize(
    ("body", "options", "status", "reason"),
    [
        (b"{", {}, 400, rejections.UNREADABLE),
        (b'{"version":1,"version":2}', {}, 400, "version: not valid"),
        (b"\xff\xfe", {}, 400, rejections.UNREADABLE),
        (b"[]", {}, 400, "not an event"),
        (b"{}", {"content_type": "text/plain"}, 415, rejections.MEDIA_TYPE),
        (b"{}", {"headers": {"Content-Encoding": "br"}}, 415, rejections.ENCODING),
        (b"{}", {"headers": {"Content-Encoding": "gzip"}}, 400, rejections.UNREADABLE),
        (b" " * (5 * 2**20 + 1), {}, 413, rejections.TOO_LARGE),
    ],
)
def test_a_body_that_is_no_event_counts_as_one(
    sender: Sender, body: bytes, options: dict[str, str], status: int, reason: str
) -> None:
    assert sender.post(body, **options).status_code == status
    assert counted(sender) == {reason: 1}


def test_a_batch_with_a_number_too_large_is_counted_whole_and_the_sample_is_what_was_sent(sender: Sender) -> None:
    batch = json.dumps([an_event(), an_event(event_data={"here": 1}), an_event()])
    bad = '"here": 1507591916746609046'
    assert sender.post(gzip.compress(batch.replace('"here": 1', bad).encode()), BATCH, headers=GZIP).status_code == 400
    assert counted(sender) == {"event_data: not valid": 1, rejections.WITH_ITS_BATCH: 2}
    (kept,) = samples(sender)
    assert bytes(kept.body).startswith(b'{"version"') and bad.encode() in bytes(kept.body)


@pytest.mark.parametrize(("count", "events"), [(0, 1), (1001, 1001)])
def test_a_batch_of_a_wrong_size_counts_all_its_events(sender: Sender, count: int, events: int) -> None:
    assert sender.post([{}] * count, BATCH).status_code == 400
    assert counted(sender) == {rejections.WHOLE["expected a JSON array"]: events}


def test_conflicts_are_counted_and_the_rest_of_their_batch_with_them(sender: Sender) -> None:
    event_id = str(uuid_utils.compat.uuid7())
    assert sender.post(an_event(event_id=event_id)).status_code == 201
    other = an_event(event_id=event_id)
    assert sender.post(other).status_code == 409
    assert sender.post([an_event(), other, an_event()], BATCH).status_code == 409
    assert counted(sender) == {rejections.CONFLICT: 2, rejections.WITH_ITS_BATCH: 2}


def test_what_is_no_event_or_of_nobody_is_not_counted(sender: Sender) -> None:
    sender.post({"source_seq": 0}, "/api/v1/audit/heartbeats")
    sender.get(EVENTS, limit="x")
    reader = Sender("read")
    assert reader.post({}).status_code == 403
    assert (counted(sender), counted(reader)) == ({}, {})


def test_without_redis_postgresql_counts(sender: Sender) -> None:
    with override_settings(REDIS_URL=NOWHERE):
        assert sender.post({}).status_code == 400
        assert sender.post({}).status_code == 400
    sender.post({})
    assert counted(sender) == {"version: missing": 3}


@pytest.mark.slow
def test_without_both_servers_the_log_and_the_metric_know(sender: Sender, postgres: Any) -> None:
    sender.post(an_event())
    before = uncounted()
    with override_settings(REDIS_URL=NOWHERE), postgres.stopped():
        sender.post(b"{")
    assert uncounted() == before + 1
    assert counted(sender) == {}


def uncounted() -> float:
    (family,) = metrics.rejected_uncounted.collect()
    return sum(sample.value for sample in family.samples if sample.name.endswith("_total"))


def test_to_gather_twice_or_to_crash_in_between_counts_nothing_twice(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender.post({})
    with monkeypatch.context() as broken:
        broken.setattr(rejection_counters, "_gather_samples", lambda connection, name: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            rejection_counters.gather()
    assert counted(sender) == counted(sender) == {"version: missing": 1}
    sender.post({})
    assert counted(sender) == {"version: missing": 2}


def test_a_redis_that_forgets_begins_anew_and_the_count_goes_on(sender: Sender) -> None:
    sender.post({})
    assert counted(sender) == {"version: missing": 1}
    connection = dlq.client.connect(dlq.client.DRAIN_TIMEOUT_MS)
    for name in connection.scan_iter(f"{rejection_counters._key('')}*"):
        connection.delete(name)
    sender.post({})
    assert counted(sender) == {"version: missing": 2}


def test_counts_of_days_that_are_over_leave_redis(sender: Sender) -> None:
    old = datetime.now(UTC) - timedelta(days=2)
    rejection_counters._count_in_redis(sender.name, [Refusal("unknown field", 4)], old)
    rejection_counters.gather()
    connection = dlq.client.connect(dlq.client.DRAIN_TIMEOUT_MS)
    assert connection.keys(f"{rejection_counters._key('')}{old.date()}*") == []
    assert counted(sender) == {"unknown field": 4}
    assert Rejection.objects.get(writer=sender.name).day == old.date()


@pytest.mark.slow
def test_the_newest_few_are_kept_and_no_more(sender: Sender) -> None:
    for number in range(rejection_counters.SAMPLES_KEPT + 5):
        sender.post(f"{number}".encode())
        if number == 7:
            rejection_counters.gather()
    kept = [bytes(one.body) for one in samples(sender)]
    assert kept == [f"{number}".encode() for number in range(rejection_counters.SAMPLES_KEPT + 4, 4, -1)]


def test_a_sample_is_cut_and_holds_no_key(sender: Sender) -> None:
    sender.post(json.dumps({"version": sender.key}).encode() + b" " * 5000)
    (kept,) = samples(sender)
    assert len(bytes(kept.body)) == rejection_counters.SAMPLE_BYTES
    assert sender.key[12:] not in bytes(kept.body).decode()
    assert b"left out" in bytes(kept.body)


def test_whatever_the_bytes_are_a_sample_holds_them(sender: Sender) -> None:
    body = b'\x00\x1b[2J<script>alert(1)</script>\xff\xe2\x80\xae"'
    assert sender.post(body).status_code == 400
    (kept,) = samples(sender)
    assert bytes(kept.body) == body


def test_a_name_that_is_no_text_is_refused_and_counted_and_stops_nothing(sender: Sender) -> None:
    strange = {**an_event(), "\ud800": 1}
    assert sender.post(strange).status_code == 400
    assert sender.post([an_event(), strange], BATCH).status_code == 400
    rejection_counters.count(sender.name, [Refusal("unknown field", 1, "\ud800\x00", b"{}")])
    assert counted(sender) == {"unknown field": 3, rejections.WITH_ITS_BATCH: 1}
    assert len(samples(sender)) == 3


def test_reasons_are_a_closed_set_whatever_is_sent() -> None:
    known = {"not an event", "version: missing", "unknown field", "version: not valid"}
    many = an_event(**{f"member-{n}": n for n in range(50)})
    for document in (7, [], {"x\x00|": 1}, many, an_event(version="x" * 99)):
        with pytest.raises(Invalid) as refused:
            accept(document, writer="w")
        assert rejections.reason_of(refused.value.errors) in known


def test_the_metric_counts_by_reason(sender: Sender) -> None:
    child = metrics.rejected_events.labels(reason="actor_ip: not valid")
    before = child._value.get()
    sender.post(an_event(actor_ip="here"))
    assert child._value.get() == before + 1
