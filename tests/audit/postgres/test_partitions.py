"""Partitions are made while others read and write."""

import re
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.conf import settings
from django.db import connections

from audit.formats.event import Accepted, accept
from audit.ingest.record import store
from audit.models import Record
from audit.postgres import partitions
from tests.audit.conftest import Sender, an_event

MONTHS_AHEAD = 9  # more than tests elsewhere make
PARTITIONS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'audit_record'::regclass"


def names() -> set[str]:
    with connections["owner"].cursor() as cursor:
        cursor.execute(PARTITIONS)
        return {name for (name,) in cursor.fetchall()}


def bounds(name: str) -> tuple[UUID, UUID]:
    """The first id of a partition, and the first that is not of it any more."""
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = %s", [name])
        first, end = re.findall(r"'([0-9a-f-]{36})'", cursor.fetchone()[0])
    return UUID(first), UUID(end)


def month(ahead: int) -> datetime:
    return partitions._months(ahead)[-1]


@contextmanager
def as_a_backup(superuser: psycopg.Connection[Any]) -> Iterator[None]:
    """The locks of pg_dump: ACCESS SHARE on every table, for as long as it runs."""
    with superuser.transaction():
        for name in ["audit_record", *sorted(names())]:
            superuser.execute(f"LOCK TABLE {name} IN ACCESS SHARE MODE".encode())
        yield


@contextmanager
def without(superuser: psycopg.Connection[Any], start: datetime) -> Iterator[str]:
    """A store in which the partition of a month is missing."""
    name = f"audit_record_{start:%Y_%m}"
    superuser.execute(f"DROP TABLE IF EXISTS {name}".encode())
    yield name
    assert name in names()


@pytest.fixture(autouse=True)
def as_before(superuser: psycopg.Connection[Any]) -> Iterator[None]:
    """Partitions that a test made go again: other tests count them."""
    before = names()
    yield
    for name in names() - before:
        superuser.execute(f"DROP TABLE {name}".encode())


@pytest.mark.slow
def test_a_backup_parks_no_event_and_the_partition_comes_after_it(
    writer: Sender, superuser: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "PARTITIONS_AHEAD", MONTHS_AHEAD)
    partitions.make()
    writer.post(an_event())
    with without(superuser, month(MONTHS_AHEAD)) as name:
        made: list[int] = []
        outcomes: list[str] = []
        make_one = partitions._make
        monkeypatch.setattr(partitions, "_make", lambda start: outcomes.append(make_one(start)) or outcomes[-1])

        def make() -> None:
            made.append(partitions.make(seconds=120))
            connections.close_all()

        maker = threading.Thread(target=make)
        statuses = []
        with as_a_backup(superuser):
            maker.start()
            while len(statuses) < 40 or outcomes.count("locked") < 3:
                statuses.append(writer.post(an_event()).status_code)
            assert name not in names()
        maker.join()
        assert set(statuses) == {201}
        assert made == [1]


def test_a_long_read_of_other_months_is_not_waited_for(
    superuser: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "PARTITIONS_AHEAD", MONTHS_AHEAD)
    partitions.make()
    with without(superuser, month(MONTHS_AHEAD)), superuser.transaction():
        superuser.execute(b"LOCK TABLE ONLY audit_record IN ACCESS SHARE MODE")
        assert partitions.make(seconds=0) == 1


def test_records_of_the_month_in_the_default_partition_stay_and_the_rest_is_made_around_them(
    superuser: psycopg.Connection[Any],
) -> None:
    start = month(30)
    middle = int((start.timestamp() + 10 * 86_400) * 1000)
    events = [_event(middle + offset) for offset in (0, 5)]
    store(events, timeout_s=20)
    assert partitions._make(start) == "made"
    assert {f"audit_record_{start:%Y_%m}", f"audit_record_{start:%Y_%m}_before"} <= names()
    assert Record.objects.filter(id__in=[event.id for event in events]).count() == 2
    assert partitions._make(start) == "exists"
    # Nothing is stored in what goes again after the test: a sealed record must not go with it.
    later = _event(int((start.timestamp() + 20 * 86_400) * 1000))
    first, end = bounds(f"audit_record_{start:%Y_%m}")
    assert first <= later.id < end


def _event(milliseconds: int) -> Accepted:
    """An event of a writer and a server whose clocks are months ahead."""
    head = f"{milliseconds:012x}"
    document = an_event(event_id=f"{head[:8]}-{head[8:]}-7000-8000-{secrets.token_hex(6)}")
    return accept(document, writer="tests", now=datetime.fromtimestamp(milliseconds / 1000, UTC))


def test_nothing_waits_for_a_partition_longer_than_its_limit(superuser: psycopg.Connection[Any]) -> None:
    start = month(31)
    with superuser.transaction():
        superuser.execute(b"LOCK TABLE audit_record_default IN ACCESS SHARE MODE")
        begun = time.monotonic()
        assert partitions._make(start) == "locked"
        assert time.monotonic() - begun < 5
    assert partitions._make(start) == "made"
