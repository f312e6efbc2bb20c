"""A worker that has just begun, and gets a valid key that it has never seen: its writer is not refused for that."""

import http.client
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from audit.models import Record
from audit.queue import drain
from bench.fleet import answers
from bench.load import wait_until
from bench.ports import free_port
from tests.audit.conftest import EVENTS, Sender, with_id


class Front:
    """One worker, with settings of its own."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.port, self.log = free_port(), folder / "log"
        command = (sys.executable, "-m", "auditsite.front", "--role", "ingest", "--port", str(self.port))
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--workers", "1", "--threads", "2"], env=os.environ | settings, stderr=log
            )
        wait_until(lambda: answers(self.port), seconds=60, what="the server")

    def post(self, sender: Sender, event: dict[str, Any]) -> int:
        headers = {"Host": "localhost", "Authorization": f"Bearer {sender.key}", "Content-Type": "application/json"}
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request("POST", EVENTS, json.dumps(event), headers)
            return connection.getresponse().status

    def renew(self) -> None:
        """Returns when other workers, with the settings of now, answer."""
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "workers_renewed" in self.log.read_text(), seconds=60, what="the renewal")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Front]]:
    started: list[Front] = []

    def start(**settings: str) -> Front:
        started.append(Front(tmp_path, **settings))
        return started[-1]

    yield start
    for front in started:
        front.process.terminate()
        assert front.process.wait(timeout=60) == 0


@pytest.fixture
def other_key(tmp_path: Path) -> dict[str, str]:
    """The setting of a key of the queue with which the copy of the writers' keys in Redis was not signed."""
    path = tmp_path / "entry_key"
    path.write_text(secrets.token_hex(32))
    return {"DLQ_ENTRY_KEY_FILE": str(path)}


class Login:
    """A role that may do what the site may, and logs in by a password."""

    def __init__(self, superuser: psycopg.Connection[Any], path: Path):
        self._superuser, self._path = superuser, path
        self.name = f"fresh_{secrets.token_hex(4)}"
        (hba,) = superuser.execute("SELECT current_setting('hba_file')").fetchone() or ("",)
        rules = Path(hba).read_text(encoding="utf-8")
        Path(hba).write_text(f"local all {self.name} scram-sha-256\n{rules}", encoding="utf-8")
        superuser.execute(f"CREATE ROLE {self.name} LOGIN IN ROLE audit_app".encode())
        superuser.execute("SELECT pg_reload_conf()")
        self.settings = {"DATABASE_URL_FILE": str(path), "DATABASE_URL": ""}

    def set_password(self, password: str) -> None:
        """In PostgreSQL."""
        self._superuser.execute(f"ALTER ROLE {self.name} PASSWORD '{password}'".encode())

    def address(self, password: str) -> None:
        """In the file that processes read at their start."""
        parts = urlsplit(os.environ["DATABASE_URL"])
        host = parts.netloc.rpartition("@")[2]
        self._path.write_text(urlunsplit(parts._replace(netloc=f"{self.name}:{password}@{host}")))


@pytest.fixture
def login(superuser: psycopg.Connection[Any], tmp_path: Path) -> Login:
    """One whose password was changed, which the file with the address does not say yet."""
    login = Login(superuser, tmp_path / "database_url")
    login.set_password("new")
    login.address("old")
    return login


@pytest.mark.slow
def test_while_it_still_connects_a_key_that_the_copy_cannot_tell_is_good(
    start: Callable[..., Front], other_key: dict[str, str]
) -> None:
    sender, event = Sender("write"), with_id()
    front = start(RECORD_TIMEOUT_MS="1", **other_key)  # nobody connects in so short a time
    assert front.post(sender, event) == 201
    assert Record.objects.filter(pk=event["event_id"]).exists()


@pytest.mark.slow
def test_while_postgresql_refuses_its_password_events_are_parked_and_stored_once_it_has_the_new_one(
    start: Callable[..., Front], login: Login
) -> None:
    sender, parked, stored = Sender("write"), with_id(), with_id()
    front = start(**login.settings)
    assert front.post(sender, parked) == 202
    login.address("new")
    front.renew()
    assert front.post(sender, stored) == 201
    drain.drain(seconds=20)
    assert Record.objects.filter(pk__in=[parked["event_id"], stored["event_id"]]).count() == 2


@pytest.mark.slow
def test_where_nobody_can_tell_whose_key_it_is_the_writer_may_come_again(
    start: Callable[..., Front], login: Login, other_key: dict[str, str]
) -> None:
    """Never 401, at which a writer gives up."""
    sender, event = Sender("write"), with_id()
    front = start(**login.settings, **other_key)
    assert front.post(sender, event) == 503
    login.set_password("old")
    wait_until(lambda: front.post(sender, event) in (200, 201), seconds=30, what="the key to be looked up")
