"""What is looked up of each writer is read by the index that is made for it, whatever PostgreSQL believes of the rows.

It knows the rows by ANALYZE alone, of some time before, and of few rows it would rather read all than look one up.
"""

import secrets
from collections.abc import Iterator

import pytest
from django.db import connections, transaction
from django.db.backends.utils import CursorWrapper
from django.test.utils import CaptureQueriesContext

from audit.completeness import counts, silence, summary
from audit.models import OWN_WRITER, Expectation
from audit.postgres import sql
from tests import plans
from tests.plans import Read

WRITERS, MANY = 60, 3_000
HEARD = """
INSERT INTO audit_rhythm (writer, events, first_at, last_at, longest)
SELECT %(name)s || n, 30, now(), now(), '{}' FROM generate_series(1, %(count)s) n
"""
BEATS = """
INSERT INTO audit_heartbeat (writer, epoch, at) SELECT writer, %(epoch)s || n, now() - make_interval(secs => n)
FROM unnest(%(writers)s::text[]) writer, generate_series(1, %(count)s) n
"""
UNMET = """
INSERT INTO audit_unmet (expectation_id, subject, key, writer, since, due_at, wanted, kind, expect_types, came,
    found_at, told_at, explanation, owner)
SELECT %(rule)s, writer || n, '', writer, now(), now() - make_interval(secs => n), 'y', 'has', '["y"]', 0,
    now(), now(), '', '' FROM unnest(%(writers)s::text[]) writer, generate_series(1, %(count)s) n
"""


class Undone(Exception):
    """Ends a transaction of which nothing stays."""


@pytest.fixture
def alone() -> Iterator[CursorWrapper]:
    """A cursor of the owner, in a store that nobody else has heartbeats and findings in; nothing of it stays."""
    with pytest.raises(Undone), transaction.atomic("owner"), connections["owner"].cursor() as cursor:
        cursor.execute("TRUNCATE audit_heartbeat, audit_unmet, audit_rhythm")
        yield cursor
        raise Undone


def analyze(cursor: CursorWrapper) -> None:
    cursor.execute("ANALYZE audit_heartbeat, audit_unmet, audit_rhythm")


def of_table(found: list[Read], name: str) -> int:
    return sum(read.rows for read in found if f" of {name}" in read.node)


@pytest.mark.parametrize("is_known", [True, False])
def test_of_each_writer_its_last_heartbeat_is_read_and_none_beside(alone: CursorWrapper, is_known: bool) -> None:
    name = f"heard-{secrets.token_hex(4)}-"
    writers = [f"{name}{n}" for n in range(1, WRITERS + 1)]
    alone.execute(HEARD, {"name": name, "count": WRITERS})
    alone.execute(BEATS, {"writers": writers, "epoch": "e", "count": 1})
    analyze(alone)
    if not is_known:  # a writer that sends them in an epoch each since then
        alone.execute(BEATS, {"writers": writers[:1], "epoch": "f", "count": MANY})
    found = plans.reads(silence._HEARD, [silence.LEAST_EVENTS, OWN_WRITER], using="owner")
    assert of_table(found, "audit_rhythm") == WRITERS
    # That of the last writer is followed by none, and that of the first by none before it.
    assert of_table(found, "audit_heartbeat") <= WRITERS, plans.most(found)


@pytest.mark.parametrize("statement", [summary._OLDEST, summary._SUBJECTS], ids=["oldest", "subjects"])
@pytest.mark.parametrize("is_known", [True, False])
def test_of_each_rule_and_writer_its_open_findings_are_read_and_none_beside(
    alone: CursorWrapper, statement: str, is_known: bool
) -> None:
    name = f"unmet-{secrets.token_hex(4)}"
    rule = Expectation.objects.create(name=name, kind="has", active=False, why="A test asks.")
    writers = [f"{name}-{n}" for n in range(1, WRITERS + 1)]
    alone.execute(UNMET, {"rule": rule.pk, "writers": writers, "count": 1})
    analyze(alone)
    if not is_known:  # what came since then, of a writer that is not asked for
        alone.execute(UNMET, {"rule": rule.pk, "writers": [f"{name}-other"], "count": MANY})
    alone.execute(sql._IN_ORDER, ["off"])
    found = plans.reads(statement, [[rule.pk] * WRITERS, writers], using="owner")
    assert of_table(found, "audit_unmet") == WRITERS, plans.most(found)


def test_the_page_asks_in_the_order_of_the_index() -> None:
    with CaptureQueriesContext(connections["default"]) as queries:
        summary.unmet_by_rule()
    texts = [query["sql"] for query in queries]
    off, on = (next(n for n, text in enumerate(texts) if f"set_config(name, '{way}'" in text) for way in ("off", "on"))
    asked = [n for n, text in enumerate(texts) if "FROM audit_unmet" in text]
    assert len(asked) == 2 and off < min(asked) and max(asked) < on


def test_once_all_of_before_an_upgrade_is_counted_nobody_looks_whether_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "_is_all_counted", False)
    counts.fold(lambda: False)
    with CaptureQueriesContext(connections["default"]) as queries:
        assert not counts.is_counting()
        assert not counts.is_counting()
    assert len(queries) <= 1
    with CaptureQueriesContext(connections["default"]) as queries:
        counts.fold(lambda: False)
        assert not counts.is_counting()
    assert not [query for query in queries if "NOT counted" in query["sql"]]
