"""PostgreSQL or Redis stops or hangs: no event is lost, and answers stay fast."""

import json
from typing import Any

import psycopg
import pytest
from django.db import connections
from django.test import Client

import dlq.errors
import dlq.stream
from audit.access import api_keys
from audit.postgres.gateway import gateway
from audit.queue import drain
from tests.audit.conftest import BATCH, EVENTS, Sender, an_event, with_id
from tests.audit.ingest.conftest import stored

pytestmark = pytest.mark.usefixtures("empty_queue")


@pytest.mark.slow
def test_while_postgresql_is_stopped_events_are_parked_and_stored_afterwards(service: Sender, postgres: Any) -> None:
    single, many = with_id(), [with_id() for _ in range(3)]
    service.post(an_event())
    depth = dlq.stream.default().totals.depth()  # dead ones of other tests
    with postgres.stopped():
        response = service.post(single)
        assert response.status_code == 202
        answer = response.json()
        assert "\nstate parked\n" in answer.pop("receipt")
        assert answer == {
            "status": "accepted",
            "message": "audit event queued for async processing",
            "event_id": single["event_id"],
            "state": "parked",
        }
        assert service.post(many, BATCH).status_code == 202
        # Clients of Data Storage know no 202 here, send no ids, and would send it again.
        minted = service.post([an_event(), with_id()], BATCH)
        assert (minted.status_code, minted.json()["state"]) == (201, "parked")
        assert service.post(single).status_code == 202
        parked = service.get(f"{EVENTS}/{single['event_id']}")
        ready = Client().get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["status"] == "degraded"
        assert not ready.json()["parts"]["postgresql"]["ok"]
        assert Client().get("/livez").status_code == 200
        # The look at the parked event waits there as well.
        assert f"dlq_depth {depth + 7}.0" in Client().get("/metrics").content.decode()
        assert drain.drain().database_up is False
    assert (parked.status_code, parked.json()["state"]) == (200, "parked")
    assert gateway().breaker.wait_closed(20)
    summary = drain.drain()
    assert (summary.stored, summary.duplicate, summary.remaining) == (7, 0, depth)
    for document in (single, *many):
        (found,) = stored(document["correlation_id"])
        assert found.digest_holds
        assert found.parked_at is not None
        assert found.parked_at < found.stored_at


@pytest.mark.slow
def test_while_postgresql_hangs_no_answer_takes_longer_than_the_deadline(writer: Sender, postgres: Any) -> None:
    writer.post(an_event())
    with postgres.frozen():
        first, second = with_id(), with_id()
        assert writer.post(first).status_code == 202
        assert gateway().breaker.is_open
        assert writer.post(second).status_code == 202
    assert gateway().breaker.wait_closed(20)
    drain.drain()
    for document in (first, second):
        assert len(stored(document["correlation_id"])) == 1


@pytest.mark.slow
def test_writers_authenticate_while_postgresql_is_stopped_and_strangers_do_not(writer: Sender, postgres: Any) -> None:
    with postgres.stopped():
        api_keys.forget()
        assert writer.post(an_event()).status_code == 202
        stranger = Client().post(
            EVENTS, json.dumps(an_event()), content_type="application/json", headers={"X-API-Key": "aw_x"}
        )
        assert stranger.status_code == 401


@pytest.mark.slow
def test_people_get_a_page_that_explains_the_outage(postgres: Any) -> None:
    client = Client()
    client.cookies["sessionid"] = "x" * 32
    with postgres.stopped():
        response = client.get("/admin/")
    assert response.status_code == 503
    assert "PostgreSQL" in response.content.decode()


@pytest.mark.slow
def test_while_postgresql_hangs_pages_and_searches_are_refused_at_once_or_give_up(
    service: Sender, postgres: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.post(an_event())
    service.get()
    monkeypatch.setattr(connections["reader"], "patience", 0.2)
    connections["reader"].connection.patience = 0.2
    with postgres.frozen():
        assert service.get().status_code == 503  # nobody knew yet: it gave up by itself
        assert service.post(an_event()).status_code == 202
        assert gateway().breaker.is_open
        refused = service.get()
        assert refused.status_code == 503
        assert "PostgreSQL does not answer" in refused.json()["detail"]
        assert "narrow" not in refused.json()["detail"]
        assert Client().get("/admin/").status_code == 503


def test_a_search_that_takes_too_long_is_told_to_be_narrower(
    service: Sender, superuser: psycopg.Connection[Any]
) -> None:
    service.get()
    with superuser.transaction(), connections["reader"].cursor() as cursor:
        superuser.execute("LOCK TABLE audit_record IN ACCESS EXCLUSIVE MODE")  # so that no reader gets through
        cursor.execute("SET statement_timeout = 20")
        try:
            refused = service.get()
        finally:
            cursor.execute("SET statement_timeout = 5000")
    assert refused.status_code == 503
    assert "narrow it by time" in refused.json()["detail"]
    assert "does not answer" not in refused.json()["detail"]


@pytest.mark.slow
def test_a_redis_outage_alone_disturbs_no_201(writer: Sender, redis_server: Any) -> None:
    writer.post(an_event())
    with redis_server.stopped():
        assert writer.post(an_event()).status_code == 201
        api_keys.forget()
        assert writer.post(an_event()).status_code == 201
        assert Client().get("/readyz").json()["status"] == "degraded"
    with redis_server.frozen():
        api_keys.forget()
        assert writer.post(an_event()).status_code == 201


@pytest.mark.slow
def test_without_both_servers_nothing_is_kept_and_the_answer_says_so(
    writer: Sender, postgres: Any, redis_server: Any
) -> None:
    document = with_id()
    writer.post(an_event())
    with postgres.stopped(), redis_server.stopped():
        response = writer.post(document)
        assert response.status_code == 503
        assert response["Retry-After"] == "5"
        assert "nothing was kept" in response.json()["detail"]
        assert Client().get("/readyz").status_code == 503
    assert gateway().breaker.wait_closed(20)
    assert writer.post(document).status_code == 201


@pytest.mark.slow
def test_a_conflict_is_found_while_postgresql_is_stopped(writer: Sender, postgres: Any) -> None:
    document = with_id()
    with postgres.stopped():
        assert writer.post(document).status_code == 202
        assert writer.post(document | {"severity": "high"}).status_code == 409
    gateway().breaker.wait_closed(20)
    drain.drain()
    kept = {found.event_type: found for found in stored(document["correlation_id"])}
    assert kept.keys() == {document["event_type"], "audit.event.conflict"}
    assert kept[document["event_type"]].severity == "info"
