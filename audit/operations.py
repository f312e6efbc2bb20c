"""Migration operations."""

from pathlib import Path
from typing import Any

from django.db.migrations import RunSQL
from django.db.migrations.operations.base import Operation

SQL = Path(__file__).parent / "sql"
PARTITIONS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass ORDER BY 1"
INVALID = "SELECT FROM pg_index WHERE indexrelid = to_regclass(%s) AND NOT indisvalid"
ATTACHED = "SELECT FROM pg_inherits WHERE inhparent = to_regclass(%s) AND inhrelid = to_regclass(%s)"


class RunSqlFile(RunSQL):
    """Run `audit/sql/<name>`; what stands below its line `-- reverse` undoes it."""

    def __init__(self, name: str):
        forward, _, reverse = (SQL / name).read_text(encoding="utf-8").partition("\n-- reverse\n")
        super().__init__(forward, reverse)
        self.name = name

    def deconstruct(self) -> tuple[str, list[str], dict[str, str]]:
        return "RunSqlFile", [self.name], {}

    def describe(self) -> str:
        return f"Run audit/sql/{self.name}"


class Words(Operation):
    """Say what forms show of some fields of a model, and how they call them: state alone, no SQL."""

    reversible = True

    def __init__(self, model: str, help_texts: dict[str, str], names: dict[str, str] | None = None):
        self.model, self.help_texts, self.names = model, help_texts, names or {}

    def deconstruct(self) -> tuple[str, list[Any], dict[str, str]]:
        return "Words", [self.model, self.help_texts, self.names], {}

    def state_forwards(self, app_label: str, state: Any) -> None:
        for key, words in (("help_text", self.help_texts), ("verbose_name", self.names)):
            for name, text in words.items():
                field = state.models[app_label, self.model].fields[name]
                _, _, arguments, options = field.deconstruct()
                said = type(field)(*arguments, **options | {key: text})
                state.alter_field(app_label, self.model, name, said, preserve_default=True)

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """No column knows its words."""

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """No column knows its words."""

    def describe(self) -> str:
        return f"Say what forms show of {self.model}"


class IndexBesideInserts(Operation):
    """Make an index while rows come in, of a partitioned table one partition after the other.

    It can be cut off anywhere and run again. Only in a migration that is not atomic.
    """

    reduces_to_sql = True
    reversible = True

    def __init__(self, name: str, table: str, columns: str):
        self.name, self.table, self.columns = name, table, columns

    def deconstruct(self) -> tuple[str, list[str], dict[str, str]]:
        return "IndexBesideInserts", [self.name, self.table, self.columns], {}

    def state_forwards(self, app_label: str, state: Any) -> None:
        """Indexes of this kind are in no model."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(PARTITIONS, [self.table])
            if not (partitions := [name for (name,) in cursor.fetchall()]):
                self._make(cursor, self.name, self.table)
                return
            cursor.execute(f"CREATE INDEX IF NOT EXISTS {self.name} ON ONLY {self.table} {self.columns}")
            for partition in partitions:
                part = f"{partition}_{self.name.removeprefix('audit_')}"[:63]
                self._make(cursor, part, partition)
                cursor.execute(ATTACHED, [self.name, part])
                if cursor.fetchone() is None:
                    cursor.execute(f"ALTER INDEX {self.name} ATTACH PARTITION {part}")

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(f"DROP INDEX IF EXISTS {self.name}")

    def describe(self) -> str:
        return f"Make the index {self.name} on {self.table} while rows come in"

    def _make(self, cursor: Any, name: str, table: str) -> None:
        """What was cut off left an index that is not valid: it is made anew."""
        cursor.execute(INVALID, [name])
        if cursor.fetchone() is not None:
            cursor.execute(f"DROP INDEX CONCURRENTLY {name}")
        # It waits for transactions that were there before, and nobody for it: a bound would only leave a part.
        cursor.execute("SET lock_timeout = 0")
        cursor.execute(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {table} {self.columns}")
        cursor.execute("RESET lock_timeout")
