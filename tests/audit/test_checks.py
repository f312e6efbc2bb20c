"""System checks find what somebody took away from the live database."""

import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.conf import settings
from django.db import connections
from django.db.models import CharField
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from audit import checks
from audit.ingest import statements
from audit.models import Record
from audit.postgres.gateway import Statement
from tests.attacks.scene import Scene
from tests.audit.conftest import Sender, an_event, ids

BREAKAGES = {
    "a disabled trigger": (
        "ALTER TABLE audit_record DISABLE TRIGGER audit_no_change",
        "ALTER TABLE audit_record ENABLE ALWAYS TRIGGER audit_no_change",
        "audit.E001",
    ),
    "a trigger that replicas skip": (
        "ALTER TABLE audit_record_default ENABLE TRIGGER audit_no_truncate",
        "ALTER TABLE audit_record_default ENABLE ALWAYS TRIGGER audit_no_truncate",
        "audit.E001",
    ),
    "a value that can be erased by nobody's leave": (
        "ALTER TABLE audit_erasable DISABLE TRIGGER audit_no_change",
        "ALTER TABLE audit_erasable ENABLE ALWAYS TRIGGER audit_no_change",
        "audit.E001",
    ),
    "an erasure that nobody has to approve": (
        "ALTER TABLE audit_erased DISABLE TRIGGER audit_may_be_erased",
        "ALTER TABLE audit_erased ENABLE ALWAYS TRIGGER audit_may_be_erased",
        "audit.E001",
    ),
    "a right to take values away": (
        "GRANT DELETE ON audit_erasable TO audit_app",
        "REVOKE DELETE ON audit_erasable FROM audit_app",
        "audit.E003",
    ),
    "a right too many": (
        "GRANT UPDATE ON audit_record TO audit_app",
        "REVOKE UPDATE ON audit_record FROM audit_app",
        "audit.E003",
    ),
    "a right on a partition": (
        "GRANT TRUNCATE ON audit_record_default TO audit_reader",
        "REVOKE TRUNCATE ON audit_record_default FROM audit_reader",
        "audit.E003",
    ),
    "a right too few": (
        "REVOKE INSERT ON audit_record FROM audit_app",
        "GRANT INSERT ON audit_record TO audit_app",
        "audit.E004",
    ),
    "a role that may become the owner": (
        "GRANT audit_owner TO audit_app",
        "REVOKE audit_owner FROM audit_app",
        "audit.E005",
    ),
}


def test_a_sound_database_has_no_findings() -> None:
    assert ids() == set()


@pytest.mark.parametrize(("breaks", "mends", "found"), BREAKAGES.values(), ids=BREAKAGES.keys())
def test_each_breakage_is_found(superuser: psycopg.Connection[Any], breaks: str, mends: str, found: str) -> None:
    superuser.execute(breaks.encode())
    try:
        assert found in ids()
    finally:
        superuser.execute(mends.encode())
    assert ids() == set()


def test_another_body_of_the_function_is_found(superuser: psycopg.Connection[Any]) -> None:
    quiet = "CREATE OR REPLACE FUNCTION audit_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $body${}$body$"
    superuser.execute(quiet.format(" BEGIN RETURN OLD; END ").encode())
    try:
        assert ids() == {"audit.E002"}
    finally:
        superuser.execute(quiet.format(checks.body_of(*checks.REFUSES)).encode())
    assert ids() == set()


def test_nothing_is_checked_unless_asked_for() -> None:
    assert checks.database(None) == []


@pytest.mark.slow
def test_without_postgresql_it_is_a_warning(postgres: Any) -> None:
    with postgres.stopped():
        connections.close_all()
        assert ids() == {"audit.W001"}


def test_the_columns_are_as_wide_as_the_event_allows() -> None:
    """One set of limits: the event's, the model's and the live table's are the same."""
    with connections["owner"].cursor() as cursor:
        cursor.execute(
            "SELECT column_name, character_maximum_length, is_nullable = 'YES' "
            "FROM information_schema.columns WHERE table_name = 'audit_record'"
        )
        live = {name: (width, nullable) for name, width, nullable in cursor.fetchall()}
    model = {
        field.column: (field.max_length if isinstance(field, CharField) else None, field.null)
        for field in Record._meta.fields
    }
    assert model == live


@pytest.mark.parametrize(
    ("statement", "unnamed"),
    [(statements.INSERT, {"stored_at", "erasable"}), (statements.INSERT_BESIDE, {"stored_at"})],
    ids=["of most", "of what can be erased"],
)
def test_the_insert_names_every_column_once(statement: Statement, unnamed: set[str]) -> None:
    columns = re.search(r"INSERT INTO audit_record \((.*?)\)", statement.sql.decode(), re.DOTALL)
    assert columns is not None
    named = [name.strip() for name in columns[1].split(",")]
    assert sorted(named) == sorted(field.column for field in Record._meta.fields if field.column not in unnamed)


def test_the_default_partition_is_reported_when_it_is_used() -> None:
    assert settings.PARTITIONS_AHEAD >= checks.MONTHS_AHEAD_LEAST
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM ONLY audit_record_default")
        (strays,) = cursor.fetchone()
    found = {str(finding.id) for finding in checks.database(None, databases=["default"])}
    assert ("audit.W003" in found) is (strays > 0)


def test_an_empty_default_partition_is_known_by_its_size_alone(elsewhere: Scene) -> None:
    with CaptureQueriesContext(connections["default"]) as queries:
        assert "audit.W003" not in {finding.id for finding in checks.partitions()}
    asked = [query["sql"] for query in queries]
    assert any("pg_relation_size" in text for text in asked)
    assert not any("FROM audit_record" in text for text in asked), "which is planned over all months"
    old_id = f"0190{uuid4().hex[:4]}-0000-7000-8000-{uuid4().hex[:12]}"
    assert Sender("write").post(an_event(event_id=old_id)).status_code == 201
    assert "audit.W003" in {finding.id for finding in checks.partitions()}


def test_a_folder_of_bundles_that_cannot_be_written_is_an_error_and_none_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder, expected in ((tmp_path, []), (tmp_path / "file", ["audit.E010"]), (tmp_path / "none", ["audit.E010"])):
        with override_settings(EXPORT_DIR=folder):
            assert [str(found.id) for found in checks.export_folder(None)] == expected
    with override_settings(EXPORT_DIR=None):
        assert [str(found.id) for found in checks.export_folder(None)] == ["audit.W006"]


def test_a_lock_table_too_small_for_the_months_there_are_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(checks.locks()) == []
    monkeypatch.setattr(checks, "STATEMENTS_AT_ONCE", 10_000)
    (warning,) = checks.locks()
    assert warning.id == "audit.W009" and "max_locks_per_transaction = 512" in str(warning.hint)


def test_another_body_of_what_says_who_is_held_is_found(superuser: psycopg.Connection[Any]) -> None:
    held = "CREATE OR REPLACE FUNCTION audit_held(r audit_record) RETURNS boolean LANGUAGE sql STABLE AS $body${}$body$"
    superuser.execute(held.format(" SELECT false ").encode())
    try:
        assert ids() == {"audit.E002"}
    finally:
        superuser.execute(held.format(checks.body_of("audit_held", "0054_holds.sql")).encode())
    assert ids() == set()
