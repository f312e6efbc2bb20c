"""GET events: every filter, and pages that miss nothing."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from audit.formats import grammar
from audit.search import filters, terms
from tests.audit.conftest import BATCH, EVENTS, Sender, an_event, with_id


def ids(response: Any) -> list[str]:
    assert response.status_code == 200, response.json()
    return [found["event_id"] for found in response.json()["data"]]


@pytest.fixture
def correlation(service: Sender) -> str:
    """Twelve events, several of them at the same microsecond."""
    name: str = an_event()["correlation_id"]
    documents = [
        an_event(
            correlation_id=name,
            event_timestamp=f"2026-08-18T10:00:0{number // 4}Z",
            event_outcome="failure" if number % 2 else "success",
            severity="critical" if number % 3 == 0 else "info",
            actor_id=f"actor-{number % 2}",
            event_data={"number": number, "text": str(number), "flag": number % 2 == 0},
        )
        for number in range(12)
    ]
    assert service.post(documents, BATCH).status_code == 201
    return name


def test_records_come_newest_first(service: Sender, correlation: str) -> None:
    data = service.get(correlation_id=correlation).json()["data"]
    order = [(found["event_timestamp"], found["event_id"]) for found in data]
    assert order == sorted(order, reverse=True)
    assert len(order) == 12


@pytest.mark.parametrize("limit", [1, 5, 12, 50])
def test_pages_by_cursor_show_every_record_once(service: Sender, correlation: str, limit: int) -> None:
    whole = ids(service.get(correlation_id=correlation))
    paged: list[str] = []
    parameters: dict[str, Any] = {"correlation_id": correlation, "limit": limit}
    while True:
        response = service.get(**parameters)
        paged += ids(response)
        pagination = response.json()["pagination"]
        assert pagination["has_more"] is (pagination["next"] is not None)
        if not pagination["has_more"]:
            break
        parameters["after"] = pagination["next"]
    assert paged == whole


def test_pages_by_offset_work_as_kubernauts_clients_expect(service: Sender, correlation: str) -> None:
    whole = ids(service.get(correlation_id=correlation))
    response = service.get(correlation_id=correlation, limit=5, offset=5)
    assert ids(response) == whole[5:10]
    assert response.json()["pagination"] | {"next": None} == {
        "limit": 5,
        "offset": 5,
        "total": 12,
        "total_is_capped": False,
        "has_more": True,
        "next": None,
    }


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ({"event_outcome": "failure"}, 6),
        ({"severity": "critical"}, 4),
        ({"event_outcome": "failure", "severity": "critical"}, 2),
        ({"actor_id": "actor-1"}, 6),
        ({"event_type": "gateway.signal.received"}, 12),
        ({"event_type": "gateway.signal"}, 0),
        ({"event_category": "gateway"}, 12),
        ({"resource_type": "gateway"}, 12),
        ({"since": "2026-08-18T10:00:02Z"}, 4),
        ({"until": "2026-08-18T10:00:00Z"}, 4),
        ({"since": "1h"}, 0),
        ({"since": "1h30m", "until": "1.5h"}, 0),
        ({"since": "2026-08-18", "until": "2026-08-19T00:00:00+02:00"}, 12),
        ({"detail_key": "number", "detail_value": "7"}, 1),
        ({"detail_key": "text", "detail_value": "7"}, 1),
        ({"detail_key": "flag", "detail_value": "true"}, 6),
        ({"detail_key": "number", "detail_value": "70"}, 0),
        ({"detail_key": "number", "detail_value": "NaN"}, 0),
        ({"detail_key": "number", "detail_value": "-1e999"}, 0),
        ({"detail_key": "number", "detail_value": '{"a"'}, 0),
        ({"detail_key": "number", "detail_value": "9" * 500}, 0),
        ({"detail_key": "number", "detail_value": "7", "event_outcome": "success"}, 0),
        ({"q": "outcome:failure actor:actor-1"}, 6),
        ({"q": "-severity:info", "event_outcome": "failure"}, 2),
        ({"q": "type:gateway.*"}, 12),
        ({"q": "data.number:7 data.number:8"}, 2),
        ({"q": 'data.number:"7"'}, 0),
        ({"q": "on:2026-08-18 -data.flag:true"}, 6),
    ],
    ids=str,
)
def test_filters_narrow_and_combine(service: Sender, correlation: str, filters: dict[str, str], count: int) -> None:
    assert len(ids(service.get(correlation_id=correlation, **filters))) == count


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"offset": "-1"}, "offset"),
        ({"offset": "100001"}, "offset"),
        ({"after": "nonsense"}, "after"),
        ({"since": "yesterday"}, "since"),
        ({"until": "99999999999999h"}, "until"),
        ({"since": "999999w"}, "since"),
        ({"since": "1h30"}, "since"),
        ({"event_outcome": "bogus"}, "event_outcome"),
        ({"detail_key": "a"}, "detail_key"),
        ({"detail_value": "a"}, "detail_key"),
        ({"detail_key": "a.b", "detail_value": "1"}, "detail_key"),
        ({"colour": "red"}, "colour"),
        ({"actor_id": "a\x00"}, "actor_id"),
        ({"q": "actor:a\x00"}, "q"),
        ({"q": "24h"}, "q"),
        ({"q": "actor:alice", "actor_id": "bob"}, "actor_id"),
        ({"q": "after:7d", "since": "7d"}, "since"),
    ],
    ids=str,
)
def test_a_parameter_that_makes_no_sense_is_named(service: Sender, parameters: dict[str, str], named: str) -> None:
    response = service.get(**parameters)
    assert response.status_code == 400
    assert set(response.json()["field_errors"]) == {named}


def test_nothing_found_is_an_empty_page(service: Sender) -> None:
    response = service.get(correlation_id="there is none")
    assert response.json()["data"] == []
    assert response.json()["pagination"]["total"] == 0


def test_an_unknown_id_is_404(service: Sender) -> None:
    response = service.get(f"{EVENTS}/{uuid4()}")
    assert (response.status_code, response.json()["type"]) == (404, "/problems/not-found")


def test_records_are_read_as_the_reader_role(service: Sender, correlation: str) -> None:
    with CaptureQueriesContext(connections["reader"]) as queries:
        service.get(correlation_id=correlation)
    assert len([query for query in queries if 'FROM "audit_record"' in query["sql"]]) == 4, (
        "the count, the ids, their sizes, the records"
    )
    with connections["reader"].cursor() as cursor:
        cursor.execute("SELECT current_user, current_setting('statement_timeout')")
        assert cursor.fetchone() == ("audit_reader", "5s")


def test_records_of_the_store_come_where_they_are_asked_for(writer: Sender, service: Sender) -> None:
    event = with_id()
    assert [writer.post(event | changes).status_code for changes in ({}, {"severity": "other"})] == [201, 409]
    correlation = {"correlation_id": event["correlation_id"]}
    assert ids(service.get(**correlation)) == [event["event_id"]]
    assert len(ids(service.get(q=f"correlation:{event['correlation_id']}"))) == 2
    assert len(ids(service.get(**correlation, event_type="audit.event.conflict"))) == 1
    assert len(ids(service.get(**correlation, actor_id="auditsite"))) == 1


def test_a_relative_time_counts_back_from_now(service: Sender) -> None:
    now = datetime.now(UTC)
    name = an_event()["correlation_id"]
    for hours in (1, 30):
        service.post(an_event(correlation_id=name, event_timestamp=(now - timedelta(hours=hours)).isoformat()))
    assert len(ids(service.get(correlation_id=name, since="24h"))) == 1
    assert len(ids(service.get(correlation_id=name, since="2d"))) == 2


def test_until_a_bare_day_takes_the_day_in_here_as_in_what_a_bundle_says() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    (condition,) = terms.plain(grammar.parse("until:2026-01-31"), now)
    assert condition == {"field": "event_timestamp", "until": "2026-01-31T23:59:59.999999Z"}
    assert "2026, 1, 31, 23, 59, 59, 999999" in repr(filters.where(grammar.parse("until:2026-01-31"), now))
