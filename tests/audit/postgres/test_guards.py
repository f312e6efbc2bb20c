"""What decides about removal is looked at in the live database: triggers, views, and what hides rows."""

import inspect
from typing import Any

import psycopg
import pytest

from audit import checks
from audit.operations import SQL
from audit.postgres import guards
from tests.audit.conftest import ids


def _view(name: str) -> str:
    return f"CREATE OR REPLACE VIEW {name} AS {guards._text_of(name, guards.VIEWS[name])}"


FLOOR_SINCE = "FUNCTION audit_floor_since(category varchar, since timestamptz)"
BREAKAGES = {
    "decisions that nobody checks": (
        "ALTER TABLE audit_retentiondecision DISABLE TRIGGER audit_check",
        "ALTER TABLE audit_retentiondecision ENABLE ALWAYS TRIGGER audit_check",
        "audit.E001",
    ),
    "holds whose check replicas skip": (
        "ALTER TABLE audit_legalhold ENABLE TRIGGER audit_check",
        "ALTER TABLE audit_legalhold ENABLE ALWAYS TRIGGER audit_check",
        "audit.E001",
    ),
    "a trigger more": (
        "CREATE TRIGGER zz BEFORE INSERT ON audit_retentionrequest FOR EACH ROW EXECUTE FUNCTION audit_check_request()",
        "DROP TRIGGER zz ON audit_retentionrequest",
        "audit.E001",
    ),
    "a trigger more, on a month": (
        "CREATE TRIGGER zz BEFORE INSERT ON audit_record_default FOR EACH ROW EXECUTE FUNCTION audit_skip_purged()",
        "DROP TRIGGER zz ON audit_record_default",
        "audit.E001",
    ),
    "ids of purged records that may come again": (
        "ALTER TABLE audit_record DISABLE TRIGGER audit_purged",
        "ALTER TABLE audit_record ENABLE TRIGGER audit_purged",
        "audit.E001",
    ),
    "holds that are hidden": (
        "ALTER TABLE audit_legalhold FORCE ROW LEVEL SECURITY",
        "ALTER TABLE audit_legalhold NO FORCE ROW LEVEL SECURITY",
        "audit.E001",
    ),
    "a rule": (
        "CREATE RULE zz AS ON INSERT TO audit_purged DO INSTEAD NOTHING",
        "DROP RULE zz ON audit_purged",
        "audit.E001",
    ),
    "releases of all holds": (
        "CREATE OR REPLACE VIEW audit_holdrelease AS SELECT h.id AS hold_id, q.asked_by, q.reason, "
        "q.asked_by AS released_by, now() AS released_at FROM audit_legalhold h, audit_retentionrequest q",
        _view("audit_holdrelease"),
        "audit.E002",
    ),
    "a floor of another function of the same name": (
        f"CREATE {FLOOR_SINCE} RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "DROP FUNCTION audit_floor_since(varchar, timestamptz)",
        "audit.E002",
    ),
    "a right to one column": (
        "GRANT UPDATE (days) ON audit_retentionrequest TO audit_app",
        "REVOKE UPDATE (days) ON audit_retentionrequest FROM audit_app",
        "audit.E003",
    ),
}


@pytest.mark.parametrize(("breaks", "mends", "found"), BREAKAGES.values(), ids=BREAKAGES.keys())
def test_each_way_to_remove_by_other_rules_is_found(
    superuser: psycopg.Connection[Any], breaks: str, mends: str, found: str
) -> None:
    superuser.execute(breaks.encode())
    try:
        assert ids() == {found}
    finally:
        superuser.execute(mends.encode())
    assert ids() == set()


def test_a_view_is_the_same_however_a_version_of_postgresql_writes_it() -> None:
    """As PostgreSQL 14 writes it, with each column named by its table."""
    written = "SELECT q.id AS request_id FROM (audit_retentionrequest q) WHERE ((q.kind)::text = 'policy'::text);"
    assert guards._plain(written) == guards._plain(
        "SELECT id AS request_id FROM audit_retentionrequest q WHERE kind = 'policy'"
    )


def test_every_view_and_every_trigger_of_the_repository_is_looked_at() -> None:
    text = "\n".join(path.read_text(encoding="utf-8").partition("\n-- reverse\n")[0] for path in SQL.glob("*.sql"))
    views = {line.split()[2] for line in text.splitlines() if line.startswith("CREATE VIEW ")}
    assert views == set(guards.VIEWS)
    assert "guards.faults" in inspect.getsource(checks.database)
