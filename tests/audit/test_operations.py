"""Migrations beside inserts: indexes, and locks that are not waited for."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import connections

from audit.management.commands import migrate
from audit.models import newest_head
from audit.operations import IndexBesideInserts
from tests.attacks.scene import Scene
from tests.audit.conftest import one


class Editor:
    """What an operation needs of a schema editor."""

    connection = connections["owner"]


@pytest.fixture
def parted() -> Iterator[None]:
    with connections["owner"].cursor() as cursor:
        cursor.execute("CREATE TABLE parted (n int, at int) PARTITION BY RANGE (n)")
        cursor.execute("CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10)")
        cursor.execute("CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (10) TO (20)")
        cursor.execute("INSERT INTO parted SELECT n, n % 3 FROM generate_series(0, 19) n")
        yield
        cursor.execute("DROP TABLE parted")


def test_an_index_is_made_partition_by_partition_and_made_anew_where_it_was_cut_off(parted: None) -> None:
    with connections["owner"].cursor() as cursor, pytest.raises(Exception, match="could not create unique index"):
        cursor.execute("CREATE UNIQUE INDEX CONCURRENTLY parted_2_at ON parted_2 (at)")
    index = IndexBesideInserts("audit_at", "parted", "(at)")
    for _ in range(2):
        index.database_forwards("audit", Editor, None, None)
        made = "SELECT count(*) FROM pg_index WHERE indisvalid AND indexrelid::regclass::text = ANY(%s)"
        assert one(made, ["audit_at", "parted_1_at", "parted_2_at"]) == 3
        assert one("SELECT count(*) FROM pg_inherits WHERE inhparent = 'audit_at'::regclass") == 2
    index.database_backwards("audit", Editor, None, None)
    assert one("SELECT to_regclass('audit_at')") is None


@pytest.mark.slow
def test_a_migration_does_not_wait_for_a_lock_and_comes_to_its_end_when_it_is_free(
    elsewhere: Scene, superuser: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    head, waited = newest_head("default"), []
    with psycopg.connect(superuser.info.dsn, dbname=f"{elsewhere.name}_now") as backup:
        backup.execute("SELECT FROM audit_head")  # as pg_dump holds it

        class Log:
            def warning(self, event: str, **facts: object) -> None:
                waited.append(event)
                assert one("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'audit_head'::regclass") == 0
                backup.rollback()

        monkeypatch.setattr(migrate, "log", Log())
        call_command("migrate", "audit", "0042", verbosity=0)
    assert waited == ["migration_waits_for_a_lock"]
    call_command("migrate", verbosity=0)
    assert newest_head("default") == head
