"""What *stored* means: PostgreSQL is asked as strictly as Redis is."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connections
from django.test import Client

from audit.postgres import durability
from audit.postgres.gateway import gateway
from auditsite.embedded import binaries


def ids() -> set[str]:
    return {str(finding.id) for finding in durability.ask().findings}


@contextmanager
def role_setting(superuser: psycopg.Connection[Any], text: str) -> Iterator[None]:
    name = text.partition("=")[0].strip()
    superuser.execute(f"ALTER ROLE audit_app SET {text}".encode())
    gateway().close()
    connections.close_all()
    try:
        yield
    finally:
        superuser.execute(f"ALTER ROLE audit_app RESET {name}".encode())
        gateway().close()


@contextmanager
def server_setting(superuser: psycopg.Connection[Any], name: str, value: str) -> Iterator[None]:
    """Change a setting of the whole server, and wait until it holds."""
    superuser.execute(f"ALTER SYSTEM SET {name} = '{value}'".encode())
    _reload(superuser, name, value)
    try:
        yield
    finally:
        superuser.execute(f"ALTER SYSTEM RESET {name}".encode())
        _reload(superuser, name, None, not_value=value)


def _reload(superuser: psycopg.Connection[Any], name: str, value: str | None, not_value: str = "") -> None:
    superuser.execute(b"SELECT pg_reload_conf()")
    while True:
        (now,) = superuser.execute("SELECT current_setting(%s)", [name]).fetchone() or ("",)
        if now == value or (value is None and now != not_value):
            return
        time.sleep(0.01)


def test_no_role_can_make_recording_confirm_before_the_disk(superuser: psycopg.Connection[Any]) -> None:
    with role_setting(superuser, "synchronous_commit = off"):
        with gateway().connection(5) as connection:
            assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)
        with connections["default"].cursor() as cursor:
            cursor.execute("SHOW synchronous_commit")
            assert cursor.fetchone() == ("on",)
        assert ids() == {"audit.W007"}
    assert ids() == set()


def test_a_server_that_can_tear_its_pages_is_found(superuser: psycopg.Connection[Any]) -> None:
    with server_setting(superuser, "full_page_writes", "off"):
        assert ids() == {"audit.E013"}
    assert ids() == set()


def test_a_startup_parameter_that_is_dropped_on_the_way_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a pooler does: the connection has another value than it was asked for."""
    monkeypatch.setattr(settings, "SYNCHRONOUS_COMMIT", "remote_apply")
    assert ids() == {"audit.E014"}


def test_ready_says_what_stored_means() -> None:
    durability.forget()
    assert Client().get("/readyz").json()["parts"]["postgresql"] == {
        "ok": True,
        "durable": True,
        "stored_means": "on this server's disk",
    }


@contextmanager
def standby(postgres: Any, folder: Path, superuser: psycopg.Connection[Any]) -> Iterator[None]:
    """What PostgreSQL takes for a standby: a receiver of its log that flushes and confirms it."""
    program = [str(binaries() / "pg_receivewal"), "--synchronous", "--no-loop", "-D", str(folder)]
    url = f"{postgres.url('postgres', 'postgres')}&application_name=standby"
    receiver = subprocess.Popen([*program, "-d", url])
    try:
        while superuser.execute("SELECT count(*) FROM pg_stat_replication").fetchone() != (1,):
            assert receiver.poll() is None, "the receiver ended"
            time.sleep(0.01)
        yield
    finally:
        receiver.terminate()
        receiver.wait()


@pytest.mark.slow
def test_a_standby_that_need_not_confirm_is_found_and_one_that_does_is_said(
    postgres: Any, tmp_path: Path, superuser: psycopg.Connection[Any]
) -> None:
    superuser.execute(b"SET synchronous_commit = local")
    with standby(postgres, tmp_path, superuser):
        assert durability.ask().stored_means == "on this server's disk"
        assert ids() == {"audit.W008"}
        with server_setting(superuser, "synchronous_standby_names", "FIRST 1 (standby)"):
            gateway().close()
            assert ids() == set()
            assert durability.ask().stored_means == "on two servers"
    gateway().close()
