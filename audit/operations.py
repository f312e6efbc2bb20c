"""Migration operations."""

from pathlib import Path

from django.db.migrations import RunSQL

SQL = Path(__file__).parent / "sql"


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
