"""Behind a PgBouncer in transaction mode the site does all that it does without, and promises nothing more."""

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connections, transaction
from django.test import override_settings

from audit.errors import BackupFailed
from audit.formats import event
from audit.ingest import statements
from audit.models import Record
from audit.postgres import durability
from audit.postgres.connecting import addresses
from audit.postgres.connecting.hosts import FollowingConnection
from audit.postgres.gateway import gateway
from audit.recovery import base_backup
from auditsite.roles import set_for_pooler
from tests import pooler, servers
from tests.audit.conftest import an_event, send
from tests.audit.postgres.processes import Process
from tests.pooler import SIZE, PgBouncer

# What is run again behind a pooler: a sample, and each verb of the store.
SAMPLE = ("tests/audit/ingest/test_record.py",)
VERBS = (
    *("tests/audit/ingest", "tests/audit/queue", "tests/audit/ledger", "tests/audit/completeness"),
    *("tests/audit/evidence", "tests/audit/retention", "tests/audit/imports", "tests/audit/search"),
    *("tests/audit/accounting", "tests/audit/streams", "tests/audit/reports", "tests/audit/review"),
    *("tests/api", "tests/admin/search", "tests/admin/queue", "tests/admin/evidence"),
)


def required() -> None:
    """Skip where there is no pooler, or no server to put it before."""
    if pooler.program() is None:
        pytest.skip("needs PgBouncer: apt-get install pgbouncer")
    if servers.postgres is None:
        pytest.skip("needs a PostgreSQL of its own: unset DATABASE_URL")


@pytest.fixture
def bouncer(request: pytest.FixtureRequest) -> Iterator[PgBouncer]:
    """A pooler before the session's server."""
    required()
    assert servers.postgres is not None
    folder = servers.FOLDER / f"bouncer-{secrets.token_hex(4)}"
    made = PgBouncer(folder, servers.postgres, **getattr(request, "param", {}))
    made.start()
    yield made
    made.stop()
    shutil.rmtree(folder)


@pytest.fixture
def through(bouncer: PgBouncer) -> Iterator[PgBouncer]:
    """Django and recording of this process connect through the pooler, as DATABASE_POOLED has it."""
    with _through(bouncer), override_settings(DATABASE_POOLED=True):
        yield bouncer


@contextmanager
def _through(bouncer: PgBouncer, *aliases: str) -> Iterator[None]:
    kept = {alias: dict(connections[alias].settings_dict) for alias in aliases or ("default", "reader")}
    _let_go()
    for alias, own in kept.items():
        options = {name: value for name, value in own["OPTIONS"].items() if name not in ("host", "options")}
        place = {"HOST": str(bouncer.sockets), "PORT": str(pooler.PORT), "OPTIONS": options}
        connections[alias].settings_dict.update(place)
    try:
        yield
    finally:
        _let_go()
        for alias, own in kept.items():
            connections[alias].settings_dict.update(own)


def _let_go() -> None:
    connections.close_all()
    gateway().close()


@pytest.fixture
def with_settings() -> Iterator[None]:
    """The roles have what a pooler drops."""
    required()
    assert servers.postgres is not None
    database = str(connections["default"].settings_dict["NAME"])
    set_for_pooler(servers.postgres.url(), database, {"audit_app": 30_000, "audit_reader": 5_000}, "on")
    yield
    with psycopg.connect(servers.postgres.url(), autocommit=True) as administrator:
        for role in ("audit_app", "audit_reader"):
            administrator.execute(f'ALTER ROLE {role} IN DATABASE "{database}" RESET ALL'.encode())


def found() -> set[str]:
    """What the checks of the addresses find."""
    return {f"{message.id} {message.msg.split()[0]}" for message in addresses.addresses(None, databases=["default"])}


def test_a_server_itself_is_no_pooler() -> None:
    assert not addresses.is_pooled("default") and found() == set()


@pytest.mark.slow
def test_a_pooler_that_nobody_spoke_of_is_found(bouncer: PgBouncer) -> None:
    with _through(bouncer):
        assert found() == {"audit.E031 DATABASE_URL", "audit.E031 DATABASE_READER_URL"}


@pytest.mark.slow
@pytest.mark.parametrize("bouncer", [{"pool_mode": "session"}], indirect=True)
def test_a_pooler_in_session_mode_is_told_of(bouncer: PgBouncer) -> None:
    with _through(bouncer):
        assert found() == {"audit.W031 DATABASE_URL", "audit.W031 DATABASE_READER_URL"}


@pytest.mark.slow
def test_a_pooler_that_refuses_options_is_told_of(bouncer: PgBouncer) -> None:
    address = bouncer.url("audit_app", str(connections["default"].settings_dict["NAME"]))
    with pytest.raises(psycopg.OperationalError, match=r"options.*: a pooler answers: set DATABASE_POOLED=true"):
        FollowingConnection.connect(f"{address}&options=-c%20statement_timeout%3D1")


@pytest.mark.slow
def test_what_roles_have_to_have_behind_a_pooler_is_looked_for(through: PgBouncer) -> None:
    assert found() == {"audit.W032 Statements"}
    with override_settings(SYNCHRONOUS_COMMIT="remote_apply"):
        (finding,) = durability.ask().findings
        assert "ALTER ROLE audit_app SET synchronous_commit = remote_apply" in str(finding.hint)


@pytest.mark.slow
def test_roles_that_have_it_have_no_findings(with_settings: None, through: PgBouncer) -> None:
    assert found() == set() and durability.ask().ok


@pytest.mark.slow
def test_migrations_and_backups_want_postgresql_itself(bouncer: PgBouncer, tmp_path: Path) -> None:
    with _through(bouncer, "owner"), pytest.raises(CommandError, match="DATABASE_OWNER_URL leads to a pooler"):
        call_command("migrate")
    with pytest.raises(BackupFailed, match=r"a pooler answers: .* all other addresses must lead to PostgreSQL itself"):
        base_backup.take(bouncer.url("postgres", "postgres"), tmp_path)


@pytest.mark.slow
def test_a_session_that_confirms_too_early_does_not_make_recording_do_so(through: PgBouncer) -> None:
    """Another client of the same pool has left a setting in each session that there is."""
    database = str(connections["default"].settings_dict["NAME"])
    others = [psycopg.connect(through.url("audit_app", database)) for _ in range(SIZE)]
    for other in others:
        other.execute("SET synchronous_commit = off")
    for other in others:
        other.commit()
        other.close()
    accepted = event.accept(an_event(), writer="tests")
    statement, more = statements.of([accepted])
    parameters = (b"[%b]" % accepted.body, *_beside(accepted))
    with gateway().connection(20) as connection:
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("off",)
        with connection.transaction():
            assert connection.run(statement, (*parameters, *more)).ntuples == 1
            assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("off",)


def _beside(accepted: event.Accepted) -> tuple[bytes, bytes, bytes]:
    return b'{"\\\\x%b"}' % accepted.digest.hex().encode(), b'{"%b"}' % str(accepted.received_at).encode(), b"{NULL}"


@pytest.mark.slow
def test_rows_are_read_one_after_the_other_inside_of_a_transaction_alone(through: PgBouncer) -> None:
    """A cursor on the server ends with its transaction: outside of one all rows come at once, and are right."""
    ids = [accepted.id for accepted in send(3)]
    records = Record.objects.filter(pk__in=ids).order_by("id")
    database = str(connections["default"].settings_dict["NAME"])
    with psycopg.connect(through.url("audit_reader", database)) as other:
        rows = records.iterator(chunk_size=1)
        first = next(rows).pk
        other.execute("SELECT 1")  # in a transaction, on the server process that the first row came from
        assert [first, *(record.pk for record in rows)] == ids
        with transaction.atomic(using="reader"):
            assert [record.pk for record in records.iterator(chunk_size=1)] == ids


@pytest.fixture
def process(with_settings: None, bouncer: PgBouncer) -> Iterator[Process]:
    database = str(connections["default"].settings_dict["NAME"])
    made = Process(
        {
            "DATABASE_POOLED": "true",
            "DATABASE_URL": bouncer.url("audit_app", database),
            "DATABASE_READER_URL": bouncer.url("audit_reader", database),
        }
    )
    yield made
    made.end()


@pytest.mark.slow
def test_a_pooler_that_hangs_or_dies_is_an_outage_and_nothing_is_lost(bouncer: PgBouncer, process: Process) -> None:
    kept = process.record(10, "stored")
    bouncer.freeze()
    kept += process.record(5, "parked")
    bouncer.thaw()
    assert process.ask("drain") == ("True", "0")
    kept += process.record(5, "stored")
    bouncer.kill()
    kept += process.record(5, "parked")
    bouncer.start()
    assert process.ask("drain") == ("True", "0")
    kept += process.record(5, "stored")
    assert process.ask(" ".join(kept)) == ("False", str(len(kept)))


@pytest.mark.slow
def test_a_server_that_dies_behind_its_pooler_is_an_outage(postgres: Any, process: Process) -> None:
    kept = process.record(10, "stored")
    with postgres.killed():
        kept += process.record(5, "parked")
    assert process.ask("drain") == ("True", "0")
    kept += process.record(5, "stored")
    assert process.ask(" ".join(kept)) == ("False", str(len(kept)))


def run_again(*places: str) -> None:
    """Run tests in a process of their own, whose site reaches PostgreSQL through a pooler."""
    required()
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "DATABASE_", "REDIS_"))}
    env = {name: value for name, value in env.items() if name not in ("CACHE_URL", "QUEUE_URL")}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n0", "-p", "no:cacheprovider", *places]
    run = subprocess.run(command, env=env | {"TESTS_POOLED": "1"}, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-5_000:]


@pytest.mark.long
def test_recording_is_as_it_is_without_a_pooler() -> None:
    run_again(*SAMPLE)


@pytest.mark.long
@pytest.mark.parametrize("place", VERBS)
def test_every_verb_is_as_it_is_without_a_pooler(place: str) -> None:
    run_again(place)
