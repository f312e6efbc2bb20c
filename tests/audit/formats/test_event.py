"""An event is acceptable or named field by field; its limits are declared once."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import uuid_utils.compat

from audit.errors import Invalid
from audit.formats import event, times
from audit.formats.canonical import digest, loads
from audit.formats.event import accept
from tests.audit.formats.conftest import SAMPLES

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def uuid7_at(seconds: int) -> UUID:
    return UUID(int=seconds * 1000 << 80 | 7 << 76 | 2 << 62 | 12345)


def sample(**changes: Any) -> dict[str, Any]:
    document = {
        "version": "1.0",
        "event_type": "gateway.signal.received",
        "event_timestamp": "2026-11-23T11:00:00Z",
        "event_category": "gateway",
        "event_action": "received",
        "event_outcome": "success",
        "correlation_id": "rr-1",
        "event_data": {"fingerprint": "abc"},
    }
    document |= changes
    return {name: value for name, value in document.items() if value is not ...}


def findings(document: Any) -> dict[str, str]:
    with pytest.raises(Invalid) as caught:
        accept(document, writer="gateway", now=NOW)
    return caught.value.errors


@pytest.mark.parametrize("document", SAMPLES, ids=lambda document: document["event_type"])
def test_every_real_event_is_accepted(document: dict[str, Any]) -> None:
    accepted = accept(document, writer="gateway", now=NOW)
    kept = loads(accepted.body)
    assert {name: kept[name] for name in document if name != "event_timestamp"} == {
        name: value for name, value in document.items() if name != "event_timestamp"
    }


def test_defaults_are_filled_in_before_the_digest_is_taken() -> None:
    accepted = accept(sample(), writer="gateway", now=NOW)
    assert loads(accepted.body) == sample(
        event_id=str(accepted.id),
        event_timestamp="2026-11-23T11:00:00.000000Z",
        writer="gateway",
        actor_type="service",
        actor_id="gateway",
        resource_type="gateway",
        resource_id="rr-1",
        severity="info",
        is_sensitive=False,
    )
    assert accepted.digest == digest(accepted.body)


def test_an_id_is_minted_as_uuid_version_7() -> None:
    assert accept(sample(), writer="gateway", now=NOW).id.version == 7


def test_the_same_event_twice_has_the_same_digest_and_another_writer_another() -> None:
    document = sample(event_id=str(uuid7_at(1_700_000_000)))
    first, again = (accept(document, writer="gateway", now=NOW) for _ in range(2))
    assert first.digest == again.digest
    assert accept(document, writer="other", now=NOW).digest != first.digest


def test_null_counts_as_absent() -> None:
    document = sample(event_id=str(uuid7_at(1_700_000_000)))
    with_null = accept(document | {"namespace": None}, writer="gateway", now=NOW)
    assert with_null.digest == accept(document, writer="gateway", now=NOW).digest


TIMES = [
    ("2026-11-23T13:00:00.1234567+02:00", "2026-11-23T11:00:00.123456Z"),
    ("2025-12-31T23:59:59.9999999Z", "2025-12-31T23:59:59.999999Z"),
    ("2025-12-31T23:59:59.999999999z", "2025-12-31T23:59:59.999999Z"),
    ("2025-12-31t23:59:59.9-00:00", "2025-12-31T23:59:59.900000Z"),
    ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999999Z"),
    ("2017-01-01T01:29:60.5+01:30", "2016-12-31T23:59:59.999999Z"),
    ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
]


@pytest.mark.parametrize(("sent", "kept"), TIMES)
def test_times_are_kept_in_utc_and_cut_to_microseconds_here_as_in_a_search(sent: str, kept: str) -> None:
    accepted = accept(sample(event_timestamp=sent), writer="w", now=NOW)
    assert loads(accepted.body)["event_timestamp"] == kept
    assert times.timestamp_text(times.read_time(sent.upper())) == kept


@pytest.mark.parametrize(
    "respell", [str.upper, lambda text: text.replace("-", ""), "urn:uuid:{}".format, "{{{}}}".format]
)
def test_an_id_may_be_spelled_in_any_way(respell: Callable[[str], str]) -> None:
    event_id = uuid7_at(1_700_000_000)
    sent = sample(event_id=respell(str(event_id)), parent_event_id=respell(str(event_id)))
    accepted = accept(sent, writer="w", now=NOW)
    assert accepted.id == event_id
    assert loads(accepted.body)["parent_event_id"] == str(event_id)


def test_every_missing_field_is_named_at_once() -> None:
    assert set(findings({})) == set(event.REQUIRED)


def test_unknown_fields_are_named() -> None:
    assert findings(sample(event_hash="x", zone="y")) == {
        "event_hash": "this field is unknown",
        "zone": "this field is unknown",
    }


def test_of_very_many_unknown_fields_the_first_are_named() -> None:
    assert len(findings(sample() | {f"strange-{number}": 1 for number in range(10_000)})) == event.MAX_UNKNOWN_NAMED


def test_unknown_members_of_event_data_are_kept() -> None:
    assert loads(accept(sample(event_data={"odd": [1, {"é": None}]}), writer="w", now=NOW).body)["event_data"] == {
        "odd": [1, {"é": None}]
    }


@pytest.mark.parametrize("document", [None, [], "x", 1, [sample()]])
def test_anything_but_an_object_is_refused(document: Any) -> None:
    assert "expected a JSON object" in findings(document)[""]


REFUSED = {
    "version": ["", "x" * 21, 1, None],
    "event_type": ["", "Gateway.x", "a b", "a.", ".a", "a..b", "a\n", "x" * 101, 7],
    "event_timestamp": [
        "2026-11-23T11:00:00",
        "2026-11-23",
        "yesterday",
        1_700_000_000,
        "2026-11-23T13:00:01Z",
        "2026-11-23T10:00:60Z",
        "2025-12-31T23:59:61Z",
        "2026-13-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
    ],
    "event_category": ["", "Gateway", "1st", "a b", "x" * 51],
    "event_action": ["", "x" * 51],
    "event_outcome": ["ok", "", None],
    "correlation_id": ["", "x" * 256, "a\x00b"],
    "event_data": [None, [], "{}", {"a": "\x00"}, {"a": "\ud800"}, {"a": "x" * 262_144}],
    "event_id": ["x", str(UUID(int=4, version=4)), str(UUID(int=0)), "0" * 32],
    "actor_type": ["x" * 51],
    "actor_id": ["x" * 256, "\x00", "\udc00"],
    "actor_ip": ["1.2.3", "fe80::1%eth0", "1.2.3.4/32", "localhost"],
    "resource_type": ["x" * 101],
    "resource_id": ["x" * 256],
    "parent_event_id": ["x", 1],
    "namespace": ["x" * 254],
    "cluster_id": ["x" * 256],
    "severity": ["x" * 21],
    "duration_ms": [-1, 2_147_483_648, 1.5, "1", True],
    "error_code": ["x" * 51],
    "error_message": ["x" * 10_001],
    "retention_days": [0, 36_501],
    "is_sensitive": [1, "true"],
    "source_seq": [0, 2**53],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in REFUSED.items() for value in values])
def test_a_value_out_of_bounds_is_refused_and_its_field_named(field: str, value: Any) -> None:
    assert {path.partition(".")[0] for path in findings(sample(**{field: value}))} == {field}


ACCEPTED = {
    "version": ["x" * 20],
    "event_type": ["a", "gateway.signal.received", "apifrontend.a2a.task_started", "x" * 100],
    "event_timestamp": ["2026-11-23T13:00:00Z", "1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z"],
    "event_category": ["invented", "x" * 50],
    "correlation_id": ["é" * 255, "😀" * 255],
    "event_data": [{}, {"a": "x" * 262_000}],
    "event_id": [str(uuid7_at(1_000)), None],
    "actor_ip": ["1.2.3.4", "2001:DB8::1", "::ffff:1.2.3.4"],
    "parent_event_id": [str(UUID(int=5, version=4))],
    "duration_ms": [0, 2_147_483_647],
    "error_message": ["x" * 10_000],
    "retention_days": [1, 36_500],
    "source_seq": [1, 2**53 - 1],
    "is_sensitive": [True, False],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in ACCEPTED.items() for value in values])
def test_a_value_at_its_bound_is_accepted(field: str, value: Any) -> None:
    assert accept(sample(**{field: value}), writer="w", now=NOW)


def test_event_data_of_sixty_four_levels_is_accepted_and_what_is_deeper_named_by_its_path() -> None:
    data: dict[str, Any] = {}
    for _ in range(63):
        data = {"a": data}
    assert accept(sample(event_data=data), writer="w", now=NOW)
    assert findings(sample(event_data={"a": data})) == {
        "event_data" + ".a" * 64: "nested too deep: at most 64 levels are allowed"
    }


def test_data_that_postgresql_would_write_out_beyond_measure_is_refused() -> None:
    assert accept(sample(event_data={"n": [1e-300] * 3_000}), writer="w", now=NOW)
    assert "as strings" in findings(sample(event_data={"n": [1e-300] * 37_000}))["event_data"]
    assert accept(sample(event_data={"n": "1e-300" * 37_000}), writer="w", now=NOW)


def test_an_old_event_is_never_refused_for_its_age() -> None:
    old = (NOW - timedelta(days=4_000)).isoformat()
    assert accept(sample(event_timestamp=old), writer="w", now=NOW)


def test_the_event_is_declared_as_the_contract_says() -> None:
    assert event.limit("error_message") == 10_000
    assert event.limit("actor_ip") == 45
    assert event.limit("duration_ms") is None


def test_another_id_is_a_uuid7_of_the_same_time_and_the_same_for_the_same_content() -> None:
    first = uuid_utils.compat.uuid7()
    other = event.another_id(first, b"a" * 32)
    assert (other.version, other.variant, other.int >> 80) == (7, first.variant, first.int >> 80)
    assert other == event.another_id(first, b"a" * 32)
    assert len({first, other, event.another_id(first, b"b" * 32)}) == 3


def test_the_date_of_the_parent_is_read_and_left_out() -> None:
    for text in (None, "2026-08-18", "2026-08-18T10:00:00Z"):
        assert b"parent_event_date" not in accept(SAMPLES[0] | {"parent_event_date": text}, writer="w", now=NOW).body
    with pytest.raises(Invalid) as refused:
        accept(SAMPLES[0] | {"parent_event_date": "soon"}, writer="w", now=NOW)
    assert set(refused.value.errors) == {"parent_event_date"}
