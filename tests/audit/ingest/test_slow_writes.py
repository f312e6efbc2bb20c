"""Writes that PostgreSQL takes long for: waited for while it answers others, given up when it falls silent."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connections

from audit.postgres.gateway import gateway
from audit.queue import drain
from tests.audit.conftest import Sender, an_event, with_id
from tests.audit.ingest.conftest import stored

pytestmark = pytest.mark.usefixtures("empty_queue")

LONG_WAIT = """
SELECT count(*) FROM pg_stat_activity WHERE usename = 'audit_app' AND wait_event_type = 'Lock'
AND clock_timestamp() - query_start > interval '400 milliseconds'
"""


def test_a_slow_write_is_waited_for_while_postgresql_answers_others(
    writer: Sender, superuser: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "RECORD_PATIENCE_MS", 60_000)
    monkeypatch.setattr(settings, "HEARTBEAT_TIMEOUT_MS", 60_000)
    writer.post(an_event())
    answers: list[int] = []
    with ThreadPoolExecutor(1) as pool:
        with superuser.transaction():
            superuser.execute("LOCK TABLE audit_record IN EXCLUSIVE MODE")
            answer = pool.submit(lambda: answers.append(writer.post(an_event()).status_code))
            while superuser.execute(LONG_WAIT).fetchone() == (0,):
                assert not answer.done()
                superuser.execute("SELECT pg_stat_clear_snapshot()")  # else the transaction sees what it saw first
        answer.result()
        pool.submit(connections.close_all).result()
    assert answers == [201]
    assert not gateway().breaker.is_open


def test_three_that_took_too_long_in_a_row_make_the_next_ones_short_until_one_is_stored(
    writer: Sender, superuser: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "HEARTBEAT_TIMEOUT_MS", 60_000)
    assert writer.post(an_event()).status_code == 201
    monkeypatch.setattr(settings, "RECORD_PATIENCE_MS", 30)
    monkeypatch.setattr(settings, "RECORD_TIMEOUT_MS", 20)
    with superuser.transaction():
        superuser.execute("LOCK TABLE audit_record IN EXCLUSIVE MODE")
        assert [writer.post(an_event()).status_code for _ in range(2)] == [202, 202]
        assert not gateway().breaker.is_open and gateway().patience.seconds == 0.03
        assert writer.post(an_event()).status_code == 202
        assert gateway().patience.seconds == 0.02
    assert gateway().breaker.wait_closed(20)
    monkeypatch.setattr(settings, "RECORD_TIMEOUT_MS", 60_000)
    assert writer.post(an_event()).status_code == 201
    assert gateway().patience.seconds == 0.03


@pytest.mark.slow
def test_every_write_that_waits_is_given_up_at_once_when_postgresql_falls_silent(
    writer: Sender, postgres: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "RECORD_PATIENCE_MS", 3_600_000)
    writer.post(an_event())
    with postgres.frozen():
        assert writer.post(an_event()).status_code == 202
        assert gateway().breaker.reason == "Silent"
    assert gateway().breaker.wait_closed(20)


def test_a_write_behind_a_lock_is_parked_within_the_deadline(
    writer: Sender, superuser: psycopg.Connection[Any]
) -> None:
    document = with_id()
    writer.post(an_event())
    with superuser.transaction():
        superuser.execute("LOCK TABLE audit_record IN EXCLUSIVE MODE")
        assert writer.post(document).status_code == 202
    assert gateway().breaker.wait_closed(20)
    drain.drain()
    assert len(stored(document["correlation_id"])) == 1
