"""No migration is let through that would stop ingest on a large table."""

import pytest
from django.db import migrations, models
from django.db.migrations.state import ModelState, ProjectState

from audit.operations import IndexBesideInserts
from auditsite import migrationlint

BLOCKING = [
    "CREATE INDEX slow ON audit_record (event_type)",
    "CREATE UNIQUE INDEX IF NOT EXISTS slow ON public.audit_leaf (leaf_hash)",
    "ALTER TABLE audit_record ALTER COLUMN writer TYPE text",
    "ALTER TABLE ONLY audit_leaf ALTER COLUMN leaf_hash SET NOT NULL",
    "ALTER TABLE audit_record ADD CONSTRAINT short CHECK (length(writer) < 9)",
    "ALTER TABLE audit_record ADD COLUMN region text NOT NULL",
    "ALTER TABLE audit_record ADD COLUMN region uuid DEFAULT gen_random_uuid()",
    "ALTER TABLE audit_record DROP COLUMN region",
    "VACUUM FULL audit_leaf",
    "LOCK TABLE audit_record IN SHARE MODE",
    "UPDATE audit_record SET region = ''",
    "INSERT INTO audit_summary SELECT writer, count(*) FROM audit_record GROUP BY 1",
    "CREATE INDEX CONCURRENTLY fine ON audit_leaf (leaf_hash)",
]
HARMLESS = [
    "CREATE TABLE audit_fresh (id bigint PRIMARY KEY, at timestamptz NOT NULL); CREATE INDEX i ON audit_fresh (at)",
    "ALTER TABLE audit_record ADD COLUMN region text",
    "ALTER TABLE audit_record ADD COLUMN region text NOT NULL DEFAULT ''",
    "ALTER TABLE audit_record ADD CONSTRAINT short CHECK (length(writer) < 9) NOT VALID",
    "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$ UPDATE audit_record SET region = '' $$",
    "INSERT INTO audit_head SELECT * FROM audit_checkpoint ORDER BY number DESC LIMIT 1",
    "-- UPDATE audit_record\nCREATE INDEX small ON audit_writer (name)",
]
WORD = models.CharField(max_length=9)


@pytest.mark.parametrize("text", BLOCKING)
def test_sql_that_would_stop_ingest_is_refused(text: str) -> None:
    assert list(migrationlint.faults_of_sql(text, atomic=True))


@pytest.mark.parametrize("text", HARMLESS)
def test_sql_that_takes_a_moment_passes(text: str) -> None:
    assert list(migrationlint.faults_of_sql(text, atomic=True)) == []


def of_operation(operation: object, *, atomic: bool = True) -> list[str]:
    state = ProjectState()
    options = {"db_table": "audit_record"}
    state.add_model(
        ModelState("audit", "Record", [("id", models.UUIDField(primary_key=True)), ("word", WORD)], options)
    )
    state.add_model(ModelState("audit", "Writer", [("id", models.BigAutoField(primary_key=True))]))
    return list(migrationlint.faults_of_operation(operation, "audit", state, atomic=atomic, made=frozenset()))


@pytest.mark.parametrize(
    "operation",
    [
        migrations.AddIndex("record", models.Index(fields=["word"], name="slow")),
        migrations.AddConstraint("record", models.UniqueConstraint(fields=["word"], name="slow")),
        migrations.AddField("record", "region", models.CharField(max_length=9)),
        migrations.AddField("writer", "region", models.CharField(max_length=9, default="")),
        migrations.AddField("record", "region", models.CharField(max_length=9, null=True, db_index=True)),
        migrations.AlterField("record", "word", models.TextField()),
        migrations.RemoveField("record", "word"),
        migrations.RunPython(migrations.RunPython.noop),
        migrations.SeparateDatabaseAndState([migrations.RunSQL("UPDATE audit_leaf SET index = 1")]),
        IndexBesideInserts("slow", "audit_record", "(word)"),
    ],
    ids=lambda operation: operation.describe(),
)
def test_an_operation_that_would_stop_ingest_is_refused(operation: object) -> None:
    assert of_operation(operation)


@pytest.mark.parametrize(
    "operation",
    [
        migrations.AddField("record", "region", models.CharField(max_length=9, null=True)),
        migrations.AddField("record", "region", models.CharField(max_length=9, db_default="")),
        migrations.AlterField("record", "word", models.CharField(max_length=9, help_text="A word.")),
        migrations.AddIndex("writer", models.Index(fields=["id"], name="small")),
    ],
    ids=lambda operation: operation.describe(),
)
def test_an_operation_that_takes_a_moment_passes(operation: object) -> None:
    assert of_operation(operation) == []
    assert of_operation(IndexBesideInserts("quick", "audit_record", "(word)"), atomic=False) == []


def test_our_own_migrations_pass() -> None:
    assert list(migrationlint.faults("audit", migrationlint.LAST_UNCHECKED)) == []


def test_what_came_before_they_were_checked_would_not_pass() -> None:
    assert any("builds an index" in fault for fault in migrationlint.faults("audit", 0))
