"""Refuse migrations that would stop ingest: `python -m auditsite.offline python -m auditsite.migrationlint`.

It reads the operations, and the statements of those that are SQL, of every migration after LAST_UNCHECKED: what came
before met empty tables only. docs/operations.md, What a release locks, has a line for each that it lets pass.
"""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django

LAST_UNCHECKED = 42
PAGE = Path(__file__).resolve().parent.parent / "docs" / "operations.md"
# Tables that grow with what is sent, so that work over all of their rows takes hours.
LARGE = frozenset(
    f"audit_{name}"
    for name in (
        *("record", "leaf", "node", "checkpoint", "cosignature", "unsealed", "quarantine", "verification", "finding"),
        *("numbering", "gap", "hole", "heartbeat", "manifest", "brokenpromise", "awaited", "tally", "unmet"),
        *("hourcount", "account", "passage", "promise", "rejection", "rejectedsample", "archived_record"),
        *("erasable", "erased"),
    )
)
TABLE = r"(?:ONLY\s+)?(?:public\.)?\"?(\w+)\"?"
# What a statement must not say of a large table, and why.
BLOCKING = [
    (
        rf"CREATE\s+(?:UNIQUE\s+)?INDEX\s+(?!CONCURRENTLY)(?:IF NOT EXISTS\s+)?\w+\s+ON\s+(?!ONLY){TABLE}",
        "builds an index while inserts wait: use IndexBesideInserts",
    ),
    (rf"ALTER\s+TABLE\s+{TABLE}[^;]*\bTYPE\b", "rewrites the table while everybody waits: add a column beside it"),
    (rf"ALTER\s+TABLE\s+{TABLE}[^;]*\bSET\s+NOT\s+NULL", "reads all rows while everybody waits: CHECK ... NOT VALID"),
    (
        rf"ALTER\s+TABLE\s+{TABLE}[^;]*\bADD\s+(?:CONSTRAINT\s+\w+\s+)?(?:CHECK|FOREIGN|UNIQUE|PRIMARY)\b(?![^;]*NOT\s+VALID)",
        "reads all rows while inserts wait: NOT VALID, and VALIDATE in a migration of its own",
    ),
    (
        rf"ALTER\s+TABLE\s+{TABLE}[^;]*\bADD\s+COLUMN\b[^;]*\bDEFAULT\s+\w+\(",
        "computes a default for each row: rewrites the table",
    ),
    (
        rf"ALTER\s+TABLE\s+{TABLE}[^;]*\b(?:SET\s+(?:UN)?LOGGED|SET\s+TABLESPACE|DROP\s+COLUMN)\b",
        "rewrites or breaks it",
    ),
    (rf"(?:CLUSTER|VACUUM\s+FULL|LOCK\s+TABLE|TRUNCATE)\s+{TABLE}", "locks it for everybody"),
    (rf"(?:UPDATE|DELETE\s+FROM)\s+{TABLE}", "goes through its rows in one transaction: a follower does that"),
    (
        rf"INSERT\s+INTO[^;]*\bFROM\s+{TABLE}(?![^;]*\bLIMIT\b)",
        "reads all of its rows in one transaction: a follower does that",
    ),
]
ADDED_WITHOUT_DEFAULT = re.compile(r"\bADD\s+COLUMN\b(?=[^;,]*\bNOT\s+NULL)(?![^;,]*\bDEFAULT\b)", re.IGNORECASE)


def faults_of_sql(text: str, *, atomic: bool, made: frozenset[str] = frozenset()) -> Iterator[str]:
    """What is wrong with statements; `made` are tables that the same migration makes, and so are empty."""
    text = re.sub(r"--[^\n]*", "", text)
    text = re.sub(r"\$(\w*)\$.*?\$\1\$", "''", text, flags=re.DOTALL)  # the bodies of functions run later
    made |= {name.lower() for name in re.findall(rf"CREATE\s+TABLE\s+{TABLE}", text, re.IGNORECASE)}
    if atomic and re.search(r"\bCONCURRENTLY\b", text, re.IGNORECASE):
        yield "CONCURRENTLY needs `atomic = False`"
    if ADDED_WITHOUT_DEFAULT.search(text):
        yield "a column that is NOT NULL without a default refuses what running processes insert"
    for pattern, why in BLOCKING:
        for match in re.finditer(pattern, text, re.IGNORECASE):
            if (table := match[1].lower()) in LARGE - made:
                yield f"{table}: {why}"


def faults_of_operation(operation: Any, app: str, before: Any, *, atomic: bool, made: frozenset[str]) -> Iterator[str]:
    """What is wrong with an operation on the models as they were `before` it."""
    from django.db import migrations

    from audit.operations import IndexBesideInserts

    if isinstance(operation, migrations.SeparateDatabaseAndState):
        for part in operation.database_operations:
            yield from faults_of_operation(part, app, before, atomic=atomic, made=made)
    elif isinstance(operation, migrations.RunSQL):
        yield from faults_of_sql(str(operation.sql), atomic=atomic, made=made)
    elif isinstance(operation, migrations.RunPython):
        yield "RunPython: a follower does that, in portions and with a saved place"
    elif isinstance(operation, IndexBesideInserts):
        if atomic:
            yield "IndexBesideInserts needs `atomic = False`"
    else:
        yield from _faults_of_model(operation, app, before, made)


def _faults_of_model(operation: Any, app: str, before: Any, made: frozenset[str]) -> Iterator[str]:
    from django.db import migrations, models

    table = _table(operation, app, before)
    is_large = table in LARGE - made
    if isinstance(operation, migrations.AddField):
        field: Any = operation.field
        has_default = field.db_default is not models.NOT_PROVIDED
        if not (field.null or has_default or field.many_to_many) and table not in made:
            yield f"{table}.{operation.name}: NOT NULL without db_default refuses what running processes insert"
        if is_large and (field.db_index or field.unique):
            yield f"{table}.{operation.name}: an index on a new column: use IndexBesideInserts after it"
        if is_large and isinstance(getattr(field, "db_default", None), models.Func):
            yield f"{table}.{operation.name}: a default that is computed for each row rewrites the table"
    elif is_large and isinstance(operation, migrations.AlterField):
        old = before.models[app, operation.model_name_lower].get_field(operation.name)
        if _in_database(old) != _in_database(operation.field):
            yield f"{table}.{operation.name}: a change of type or NULL may rewrite the table: add a column beside it"
    elif is_large and isinstance(
        operation,
        migrations.AddIndex
        | migrations.AddConstraint
        | migrations.AlterUniqueTogether
        | migrations.RemoveField
        | migrations.RenameField
        | migrations.RenameModel
        | migrations.DeleteModel
        | migrations.AlterModelTable,
    ):
        yield f"{table}: {type(operation).__name__} locks it, or takes away what running processes use"


def _in_database(field: Any) -> Any:
    _, path, arguments, options = field.deconstruct()
    return path, arguments, {name: value for name, value in options.items() if name not in field.non_db_attrs}


def _table(operation: Any, app: str, before: Any) -> str:
    name = getattr(operation, "model_name", None) or getattr(operation, "name", "")
    state = before.models.get((app, str(name).lower()))
    return str(state.options.get("db_table") or f"{app}_{name}").lower() if state else f"{app}_{name}".lower()


def faults(app: str, last_unchecked: int) -> Iterator[str]:
    """What is wrong with the migrations of an app, each after its number."""
    from django.db import migrations
    from django.db.migrations.loader import MigrationLoader

    loader = MigrationLoader(None, ignore_no_migrations=True)
    page = PAGE.read_text(encoding="utf-8")
    checked = sorted(key for key in loader.disk_migrations if key[0] == app and int(key[1][:4]) > last_unchecked)
    if not checked:
        return
    # Of the first alone: each operation moves it on, and to build it anew for each migration takes ever longer.
    state = loader.project_state(checked[0], at_end=False)
    for label, name in checked:
        migration, made = loader.disk_migrations[label, name], frozenset[str]()
        if f"`{name}`" not in page:
            yield f"{name}: docs/operations.md, What a release locks, does not say what it locks and for how long"
        for operation in migration.operations:
            for fault in faults_of_operation(operation, app, state, atomic=migration.atomic, made=made):
                yield f"{name}: {fault}"
            if isinstance(operation, migrations.CreateModel):
                made |= {str(operation.options.get("db_table") or f"{app}_{operation.name_lower}")}
            operation.state_forwards(app, state)


def main() -> int:
    """Print what is wrong; exit status 1 where something is."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "auditsite.settings")
    django.setup()
    wrong = list(faults("audit", LAST_UNCHECKED))
    for fault in wrong:
        print(fault)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
