"""What was open at the end of a day is what its moments say, and what was closed long before is not read for it."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from itertools import product

import pytest
from django.db import connections, transaction
from django.db.backends.utils import CursorWrapper
from django.test.utils import CaptureQueriesContext

from audit.formats import times
from audit.models import Expectation, Manifest
from audit.review import exception_report
from tests import plans
from tests.audit.review.conftest import a_day, noon

HOURS, DAYS_AGO = 5_000, 10
TABLES = ("audit_gap", "audit_manifest", "audit_unmet", "audit_brokenpromise")
# One of each kind was found in each hour: of a thousand one is open, one explained, and the others were closed.
_FOUND = f"""
INSERT INTO {{table}} (found_at, closed_at, explained_at, explanation, owner, {{columns}})
SELECT at, CASE WHEN n %% 1000 > 1 THEN at + interval '2 hours' END,
    CASE WHEN n %% 1000 = 1 THEN at + interval '1 hour' END, '', '', {{values}}
FROM (SELECT n, %(now)s::timestamptz - make_interval(hours => n) AS at FROM generate_series(1, {HOURS}) n) AS made
"""
MADE = [
    "INSERT INTO audit_numbering (writer, epoch, highest, events, reused, reused_first) "
    "VALUES (%(name)s, '', 0, 0, 0, '[]')",
    _FOUND.format(
        table="audit_gap",
        columns="numbering_id, first, last, missing, before_at, tail",
        values="(SELECT id FROM audit_numbering WHERE writer = %(name)s), n, n, 1, at, false",
    ),
    _FOUND.format(
        table="audit_manifest",
        columns="key, writer, epoch, since, until, count, came, surplus, agrees, event_ids, ids_digest, "
        "contents_digest",
        values="%(name)s || n, %(name)s, '', at, at, 1, 0, 0, false, '[]', '', ''",
    ),
    _FOUND.format(
        table="audit_unmet",
        columns="expectation_id, subject, key, writer, since, due_at, wanted, kind, expect_types, came",
        values="%(rule)s, 's' || n, '', %(name)s, at, at, 'y', 'has', '[]', 0",
    ),
    _FOUND.format(
        table="audit_brokenpromise",
        columns="event_id, kind, writer, digest, promised, promised_at, sealed_by, why",
        values="gen_random_uuid(), 'late', %(name)s, '', 'stored', at, at, ''",
    ),
]


class Undone(Exception):
    """Ends a transaction of which nothing stays."""


@contextmanager
def alone() -> Iterator[CursorWrapper]:
    """A cursor of the owner, in a store without any findings; nothing of it stays."""
    with pytest.raises(Undone), transaction.atomic("owner"), connections["owner"].cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(TABLES)} CASCADE")
        yield cursor
        raise Undone


def test_what_was_closed_before_the_end_of_a_day_is_not_read_for_it() -> None:
    name, now = f"found-{secrets.token_hex(4)}", datetime.now(UTC)
    rule = Expectation.objects.create(name=name, kind="has", active=False, why="A test asks.")
    first, end = times.read_day((now - timedelta(days=DAYS_AGO)).date().isoformat())
    with CaptureQueriesContext(connections["default"]) as queries:
        exception_report._older_findings(first, end)
    asked = [query["sql"] for query in queries if "COUNT" in query["sql"]]
    with alone() as cursor:
        for statement in MADE:
            cursor.execute(statement, {"name": name, "rule": rule.pk, "now": now})
        cursor.execute(f"ANALYZE {', '.join(TABLES)}")
        found = [read for text in asked for read in plans.reads(text, using="owner")]
    assert {table for table in TABLES for read in found if f" of {table}" in read.node} == set(TABLES)
    for table in TABLES:
        rows = sum(read.rows for read in found if f" of {table}" in read.node)
        assert rows <= DAYS_AGO * 24 + HOURS // 1_000 * 2, plans.most(found)


def still_open(day: date) -> int:
    rows = exception_report._older_findings(*times.read_day(day.isoformat())).rows
    return sum(row.times for row in rows if row.label == "manifests that do not agree")


def test_what_was_open_at_the_end_of_a_day_is_counted_once_whatever_became_of_it_since() -> None:
    day, name = a_day(), f"found-{secrets.token_hex(4)}"
    found_at, end = (noon(day, -48), noon(day, -12), noon(day)), noon(day, 12)
    later = (None, noon(day, 1), end, noon(day, 20))
    window = {"since": noon(day, -72), "until": noon(day, -60), "count": 1}
    before = still_open(day)
    for number, (found, closed, explained) in enumerate(product(found_at, later, later)):
        moments = {"found_at": found, "closed_at": closed, "explained_at": explained}
        Manifest.objects.create(key=f"{name}-{number}", writer=name, **window, **moments)
    # Of those of before: neither closed nor explained in the day.
    assert still_open(day) - before == 1 * 3 * 3
    Manifest.objects.filter(writer=name).update(closed_at=noon(day))
