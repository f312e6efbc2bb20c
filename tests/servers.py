"""Starts the servers of the test session before Django's settings are read (`-p tests.servers`).

With TESTS_POOLED=1 the site reaches PostgreSQL through a PgBouncer in transaction mode.
With DATABASE_URL (an administrator's) or REDIS_URL set, those are used, in one process; tests that must stop a server
skip then. Otherwise each process that runs tests has servers of its own, for tests stop them and look at all in them.
"""

import atexit
import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.db import connections

from audit.formats.note import Signer
from auditsite import offline
from auditsite.embedded import Postgres, Redis
from auditsite.roles import create_database, set_for_pooler
from tests.pooler import PgBouncer

SEAL_KEY = Signer("tests.example/log", bytes(range(32)))
RECEIPT_KEY = Signer("tests.example/log/receipts", bytes(range(1, 33)))
# What the user gave; a worker of xdist finds here what the process that started it has set.
GIVEN = {"DATABASE_URL", "REDIS_URL"} & os.environ.keys()
WORKER = "PYTEST_XDIST_WORKER" in os.environ
PROCESSES_MAX = 5
RAM_DISK = Path("/dev/shm")
RAM_DISK_BYTES_MIN = 4 << 30  # a session's servers take less than 1 GiB a process


def _parent() -> Path | None:
    """Where the servers' files go: into memory where there is room, so that no test waits for a busy disk."""
    is_roomy = os.access(RAM_DISK, os.W_OK | os.X_OK) and shutil.disk_usage(RAM_DISK).free > RAM_DISK_BYTES_MIN
    return RAM_DISK if is_roomy else None


def open_folder() -> Path:
    """A new folder on disk that PostgreSQL's own user reaches: pytest closes those of its own whenever it starts."""
    folder = Path(tempfile.mkdtemp(prefix="auditsite-open-"))
    folder.chmod(0o755)
    return folder


FOLDER = Path(tempfile.mkdtemp(prefix="auditsite-test-", dir=_parent()))
FOLDER.chmod(0o755)
for name in ("static", "exports"):
    (FOLDER / name).mkdir()
# Python looks for cycles each 700 objects and more, and through all tests that were collected: a seventh of the time.
gc.set_threshold(100_000, 20, 20)
is_started = False
postgres: Postgres | None = None
redis: Redis | None = None
pooler: PgBouncer | None = None
# The name of a database that is migrated and empty, where there is one.
migrated = ""


@pytest.hookimpl(tryfirst=True)  # xdist asks itself otherwise
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Of `-n auto`: a process a core and one more, or just this one when the servers were given.

    A third of the time a test waits, for a server, a browser or another process. Fast tests take less time than it
    takes to make another process ready for them.
    """
    more = 0 if config.getoption("fast") else 1
    return 0 if GIVEN else min((os.cpu_count() or 1) + more, PROCESSES_MAX)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Iterator[None]:
    """Before pytest-django reads the settings."""
    if _runs_no_test(early_config):
        os.environ |= {name: value for name, value in offline.NOWHERE.items() if name not in GIVEN}
    else:
        start()
    return (yield)


def _runs_no_test(config: pytest.Config) -> bool:
    """Whether this process runs no test itself, and so needs no server."""
    options = config.known_args_namespace
    hands_out = bool(options.numprocesses) and not (options.numprocesses == "auto" and GIVEN)
    return not WORKER and (options.collectonly or hands_out)


def start() -> None:
    """Start what the session needs, once, and tell the settings of it; all stops when this process ends."""
    global is_started, postgres, redis
    if is_started:
        return
    is_started = True
    admin_url = os.environ.get("DATABASE_URL")
    if admin_url is None or WORKER:
        postgres = Postgres(FOLDER / "postgres")
        postgres.start()
        admin_url = postgres.url()
    if "REDIS_URL" not in os.environ or WORKER:
        redis = Redis(FOLDER / "redis")
        redis.start()
        os.environ["REDIS_URL"] = redis.url()
    os.environ |= create_database(admin_url, f"audit_test_{os.getpid()}")
    if "TESTS_POOLED" in os.environ:
        _put_pooler_between(f"audit_test_{os.getpid()}")
    os.environ |= {
        "RUN_ENV": os.devnull,  # the servers and keys of a `make run` in this folder are not ours
        "SECRET_KEY": "tests",
        "SEAL_KEY": SEAL_KEY.encode(),
        "RECEIPT_KEY": RECEIPT_KEY.encode(),
        "SECURE_COOKIES": "false",
        "STATIC_ROOT": str(FOLDER / "static"),
        "STATIC_COMPRESSED": "false",
        "EXPORT_DIR": str(FOLDER / "exports"),
        "EXPORT_AT_ONCE": "100000",  # what other tests have left unmade
        # No sealer runs beside most tests.
        "SEAL_WAIT_MS": "0",
        "CACHE_URL": os.environ["REDIS_URL"].replace("db=0", "db=1"),
        "QUEUE_URL": os.environ["REDIS_URL"],
        "DEBUG": "false",
        "LOG_LEVEL": "CRITICAL",
        "RECORD_CONNECTIONS": "4",
        # A busy machine must not decide a test; tests of deadlines set their own.
        "RECORD_TIMEOUT_MS": "1500",
        "DLQ_TIMEOUT_MS": "1500",
        "HEARTBEAT_TIMEOUT_MS": "1500",
    }


def _put_pooler_between(database: str) -> None:
    global pooler
    assert postgres is not None, "TESTS_POOLED needs a PostgreSQL of its own: unset DATABASE_URL"
    set_for_pooler(postgres.url(), database, {"audit_app": 30_000, "audit_reader": 5_000}, "on")
    pooler = PgBouncer(FOLDER / "pooler", postgres)
    pooler.start()
    os.environ |= {
        "DATABASE_POOLED": "true",
        "DATABASE_URL": pooler.url("audit_app", database),
        "DATABASE_READER_URL": pooler.url("audit_reader", database),
    }


def keep_migrated() -> None:
    """Keep a copy of the session's database, which is migrated and empty as yet, for others to be made of."""
    global migrated
    if postgres is None or pooler is not None:  # a pooler stays connected to what would be copied
        return
    connections.close_all()
    with psycopg.connect(postgres.url(), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE audit_migrated TEMPLATE audit_test_{os.getpid()} STRATEGY FILE_COPY")
    migrated = "audit_migrated"


def _stop() -> None:
    for server in (pooler, postgres, redis):
        if server is not None:
            server.stop()
    shutil.rmtree(FOLDER, ignore_errors=True)


# Of a process that runs no test itself, too: it has a folder.
atexit.register(_stop)
