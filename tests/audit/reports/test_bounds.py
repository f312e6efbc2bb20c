"""A report on a period reads so many findings and no more, however many were detected in it."""

import secrets
from datetime import UTC, date, datetime, time, timedelta

import pytest
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext

from audit.ledger import reader
from audit.models import Expectation
from audit.postgres import sql
from audit.reports.figures import Section
from audit.reports.sections import completeness
from audit.reports.snapshot import COUNTS_SO_FAR, Snapshot
from tests import plans
from tests.audit.reports.conftest import sealed
from tests.days import own_days
from tests.plans import Read

MOST = 100
# Gaps, manifests and unmet expectations of a time; every second is closed.
FOUND = """
WITH numbering AS (
    INSERT INTO audit_numbering (writer, epoch, highest, events, reused, reused_first)
    SELECT %(name)s, %(name)s || n, 5, 1, 0, '[]' FROM generate_series(1, %(count)s) n RETURNING id
), gap AS (
    INSERT INTO audit_gap (numbering_id, first, last, missing, before_at, found_at, closed_at, tail, owner, explanation)
    SELECT id, 1, 4, 4, %(at)s, %(at)s, CASE WHEN row_number() OVER (ORDER BY id) %% 2 = 0 THEN %(at)s END, false,
        '', '' FROM numbering
), manifest AS (
    INSERT INTO audit_manifest (key, writer, epoch, since, until, count, event_ids, ids_digest, contents_digest, came,
        surplus, agrees, found_at, closed_at, explanation, owner)
    SELECT encode(sha256((%(name)s || n)::bytea), 'hex'), %(name)s, '', %(at)s, %(at)s, 1, '[]', '', '', 0, 0, false,
        %(at)s, CASE WHEN n %% 2 = 0 THEN %(at)s END, '', '' FROM generate_series(1, %(count)s) n
)
INSERT INTO audit_unmet (expectation_id, subject, key, writer, since, due_at, wanted, kind, expect_types, came,
    found_at, closed_at, explanation, owner)
SELECT %(rule)s, %(name)s || n, '', %(name)s, %(at)s, %(at)s, 'y', 'has', '["y"]', 0, %(at)s,
    CASE WHEN n %% 2 = 0 THEN %(at)s END, '', '' FROM generate_series(1, %(count)s) n
"""


def find(day: date, count: int) -> None:
    """So many findings of each kind on a day, and PostgreSQL knows of them."""
    name = f"found-{secrets.token_hex(4)}"
    rule = Expectation.objects.create(name=name, kind="has", active=False, why="A test asks.")
    sql.run(FOUND, {"name": name, "count": count, "rule": rule.pk, "at": datetime.combine(day, time(12), UTC)})
    with transaction.atomic("owner"), connections["owner"].cursor() as cursor:
        cursor.execute("ANALYZE audit_gap, audit_numbering, audit_manifest, audit_unmet")


def section_of(day: date, version: int = COUNTS_SO_FAR) -> tuple[Section, list[Read]]:
    """The section of a day, and what was read for it of findings."""
    snapshot = Snapshot(day, day, reader.signed_head("default"), version)
    with CaptureQueriesContext(connections["default"]) as queries:
        section = completeness.section(snapshot)
    kinds = ("audit_gap", "audit_manifest", "audit_unmet")
    texts = [query["sql"] for query in queries if any(f'FROM "{kind}"' in query["sql"] for kind in kinds)]
    reads = [read for text in texts for read in plans.reads(text)]
    return section, [read for read in reads if any(f" of {kind}" in read.node for kind in kinds)]


def test_so_many_findings_are_counted_and_more_are_said_to_be_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completeness, "MOST_COUNTED", MOST)
    sealed(1)
    exact = own_days(3)
    more, far = exact + timedelta(days=1), exact + timedelta(days=2)
    find(exact, MOST)
    section, _ = section_of(exact)
    shown = {figure.key: figure for figure in section.figures}
    for key in ("gaps", "manifests", "unmet"):
        assert (shown[key].value, shown[f"{key}_open"].value, shown[f"{key}_open"].state) == (100, 50, "exception"), key
    assert (section.tables[0].caption, section.tables[0].left_off) == ("Gaps, the newest first", 60)
    reads = {}
    for day, count in ((more, MOST + 1), (far, 3_000)):
        find(day, count)
        section, reads[day] = section_of(day)
        shown = {figure.key: figure for figure in section.figures}
        for key in ("gaps", "manifests", "unmet"):
            assert shown[key].value == "more than 100", key
            assert (shown[f"{key}_open"].value, shown[f"{key}_open"].state) == ("51 of the first 101", "exception"), key
        assert section.tables[0].caption == "Gaps, the newest 40 of more than 100: Completeness lists more"
        assert (len(section.tables[0].rows), section.tables[0].left_off) == (40, 0)
    # Those that are counted, one to know of more, and the gaps that are listed.
    assert sum(read.rows for read in reads[far]) <= 3 * (MOST + 1) + 40, plans.most(reads[far])
    before, _ = section_of(far, COUNTS_SO_FAR - 1)
    assert {figure.key: figure.value for figure in before.figures}["gaps"] == 3_000, "as reports of then said it"
