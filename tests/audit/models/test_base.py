"""A record is not changed, whoever tries and however: model, QuerySet, each role, triggers, partitions."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError, connections
from django.db.utils import DatabaseError

from audit.checks import KEPT
from audit.errors import Immutable
from audit.models import Record
from tests.audit.conftest import Sender, an_event

PARTITION = "(SELECT tableoid::regclass FROM audit_record WHERE id = '{id}')"


@pytest.fixture(scope="module")
def record(writer: Sender) -> Record:
    """Attempted by all of these tests; that it is as it was is what they are about."""
    document = an_event()
    assert writer.post(document).status_code == 201
    return Record.objects.get(correlation_id=document["correlation_id"])


def test_the_model_refuses_to_save_and_to_delete(record: Record) -> None:
    record.event_outcome = "failure"
    for act in (record.save, record.delete, Record(id=record.id).save):
        with pytest.raises(Immutable):
            act()


QUERYSET: dict[str, Callable[[Any], Any]] = {
    "update": lambda found: found.update(severity="low"),
    "delete": lambda found: found.delete(),
    "create": lambda found: found.create(severity="low"),
    "get_or_create": lambda found: found.get_or_create(severity="low"),
    "update_or_create": lambda found: found.update_or_create(severity="low"),
    "bulk_create": lambda found: found.bulk_create([Record()]),
    "bulk_update": lambda found: found.bulk_update([Record()], ["severity"]),
    "_raw_delete": lambda found: found._raw_delete("default"),
    "_update": lambda found: found._update([]),
}


@pytest.mark.parametrize("act", QUERYSET.values(), ids=QUERYSET.keys())
def test_the_queryset_refuses_to_write(record: Record, act: Callable[[Any], Any]) -> None:
    for found in (Record.objects.filter(id=record.id), Record.objects.all(), Record._base_manager.all()):
        with pytest.raises(Immutable):
            act(found)


@pytest.mark.parametrize("act", ["acreate", "aupdate", "adelete", "abulk_create", "aget_or_create"])
def test_the_queryset_refuses_to_write_asynchronously_too(act: str) -> None:
    with pytest.raises(Immutable):
        asyncio.run(getattr(Record.objects.all(), act)())


STATEMENTS = {
    "UPDATE": "UPDATE audit_record SET severity = 'low' WHERE id = '{id}'",
    "UPDATE of the key": "UPDATE audit_record SET id = '{id}' WHERE id = '{id}'",
    "DELETE": "DELETE FROM audit_record WHERE id = '{id}'",
    "TRUNCATE": "TRUNCATE audit_record",
    "TRUNCATE of nothing else": "TRUNCATE ONLY audit_record",
    "UPDATE by conflict": (
        "INSERT INTO audit_record SELECT * FROM audit_record WHERE id = '{id}' "
        "ON CONFLICT (id) DO UPDATE SET severity = 'low'"
    ),
    "MERGE": ("MERGE INTO audit_record r USING (SELECT '{id}'::uuid AS id) s ON r.id = s.id WHEN MATCHED THEN DELETE"),
    "UPDATE of the partition": "UPDATE {partition} SET severity = 'low' WHERE id = '{id}'",
    "DELETE from the partition": "DELETE FROM {partition} WHERE id = '{id}'",
    "TRUNCATE of the partition": "TRUNCATE {partition}",
}
BY_OWNER_ONLY = {
    "DROP": "DROP TABLE audit_record",
    "DROP of the partition": "DROP TABLE {partition}",
    "DETACH": "ALTER TABLE audit_record DETACH PARTITION {partition}",
    "DISABLE TRIGGER": "ALTER TABLE audit_record DISABLE TRIGGER ALL",
    "DROP TRIGGER": "DROP TRIGGER audit_no_change ON audit_record",
    "another function": (
        "CREATE OR REPLACE FUNCTION audit_refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'"
    ),
    "session_replication_role": "SET session_replication_role = replica",
    "SET ROLE": "SET ROLE audit_owner",
    "a rule": "CREATE RULE quiet AS ON UPDATE TO audit_record DO INSTEAD NOTHING",
    "a trigger": (
        "CREATE TRIGGER mine BEFORE INSERT ON audit_record FOR EACH ROW EXECUTE FUNCTION audit_refuse_change()"
    ),
    "a partition": "CREATE TABLE mine PARTITION OF audit_record FOR VALUES FROM (MINVALUE) TO (MAXVALUE)",
    "a guard call": "SELECT audit_guard_truncate('audit_record')",
}


def attempt(alias: str, statement: str, record: Record) -> None:
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text FROM audit_record WHERE id = %s", [record.id])
        (partition,) = cursor.fetchone()
    with pytest.raises(DatabaseError) as refused, connections[alias].cursor() as cursor:
        cursor.execute(statement.format(id=record.id, partition=partition))
    assert isinstance(refused.value.__cause__, psycopg.Error)
    assert Record.objects.get(id=record.id).digest_holds


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS.keys())
@pytest.mark.parametrize("alias", ["default", "reader", "owner"])
def test_no_role_changes_a_record(record: Record, alias: str, statement: str) -> None:
    attempt(alias, statement, record)


@pytest.mark.parametrize("statement", BY_OWNER_ONLY.values(), ids=BY_OWNER_ONLY.keys())
@pytest.mark.parametrize("alias", ["default", "reader"])
def test_the_application_and_the_reader_cannot_take_the_protection_away(
    record: Record, alias: str, statement: str
) -> None:
    attempt(alias, statement, record)


@pytest.mark.parametrize("table", KEPT)
def test_the_application_takes_nothing_away_of_what_was_found_and_decided(record: Record, table: str) -> None:
    attempt("default", f"DELETE FROM {table} WHERE false", record)
    attempt("default", f"TRUNCATE {table}", record)


def test_the_reader_cannot_insert(record: Record) -> None:
    attempt("reader", "INSERT INTO audit_record SELECT * FROM audit_record WHERE false", record)


def test_the_owner_is_refused_by_the_trigger_with_a_hint(record: Record) -> None:
    refusal = pytest.raises(IntegrityError, match="audit records are append-only")
    with refusal as refused, connections["owner"].cursor() as cursor:
        cursor.execute("DELETE FROM audit_record WHERE id = %s", [record.id])
    assert isinstance(refused.value.__cause__, psycopg.Error)
    assert refused.value.__cause__.diag.message_hint


@pytest.mark.parametrize("statement", [STATEMENTS["UPDATE"], STATEMENTS["DELETE"], STATEMENTS["TRUNCATE"]])
def test_even_a_superuser_in_replica_mode_is_refused(
    record: Record, superuser: psycopg.Connection[Any], statement: str
) -> None:
    superuser.execute("SET session_replication_role = replica")
    with pytest.raises(psycopg.IntegrityError, match="append-only"):
        superuser.execute(statement.format(id=record.id).encode())
    assert Record.objects.get(id=record.id).digest_holds


def test_a_new_partition_is_guarded_like_the_others(record: Record) -> None:
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT audit_make_partitions(9)")
        cursor.execute("SELECT audit_make_partitions(9)")
        assert cursor.fetchone() == (0,)
    with connections["owner"].cursor() as cursor:
        cursor.execute(
            """SELECT c.relname, array_agg(t.tgname::text || t.tgenabled::text ORDER BY t.tgname) FROM pg_inherits
               JOIN pg_class c ON c.oid = inhrelid JOIN pg_trigger t ON t.tgrelid = c.oid
               WHERE inhparent = 'audit_record'::regclass GROUP BY 1"""
        )
        partitions = dict(cursor.fetchall())
    now = datetime.now(UTC)
    months = [divmod(now.year * 12 + now.month - 1 + ahead, 12) for ahead in range(10)]
    assert {f"audit_record_{year}_{month + 1:02}" for year, month in months} < partitions.keys()
    assert set(map(tuple, partitions.values())) == {
        ("audit_no_changeA", "audit_no_truncateA", "audit_purgedO", "audit_strayO")
    }


def test_nothing_but_record_inserts_records() -> None:
    """One writer: no other module names the statement or the table in an insert."""
    import re
    from pathlib import Path

    root = Path(__file__).parents[3]
    inserts = [
        str(path.relative_to(root))
        for folder in ("audit", "dlq", "auditsite")
        for path in [*(root / folder).rglob("*.py"), *(root / folder).rglob("*.sql")]
        if re.search(r"INSERT\s+INTO\s+audit_record\b|(?<!\w)Record\.objects\.(create|bulk_create)", path.read_text())
    ]
    assert inserts == ["audit/ingest/record.sql"]
