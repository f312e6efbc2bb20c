"""SIGHUP puts workers that read the settings anew in the place of all, and nobody is refused meanwhile."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from bench.fleet import answers
from bench.load import wait_until
from bench.ports import free_port
from tests.processes import lives

KEY = "k" * 32


class Front:
    """Two workers, which read the key of the queue from a file."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.keys = folder / "entry_key"
        self.keys.write_text(KEY)
        self.log = folder / "log"
        self._from = 0
        size = ("--workers", "2", "--threads", "2")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "auditsite.front", "--role", "ingest", "--port", str(self.port), *size),
                    "tests.auditsite.front.waiting:application",
                ],
                env=os.environ | {"DLQ_ENTRY_KEY_FILE": str(self.keys)},
                stderr=log,
            )
        wait_until(lambda: answers(self.port), seconds=60, what="the server")

    def pids(self) -> set[int]:
        return {child.pid for child in psutil.Process(self.process.pid).children() if lives(child)}

    def renew(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def begin(self) -> None:
        """What was logged before counts no more."""
        self._from = self.log.stat().st_size

    def logged(self, event: str) -> int:
        lines = self.log.read_bytes()[self._from :].splitlines()
        return sum(json.loads(line)["event"] == event for line in lines if line[:1] == b"{")

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)


@pytest.fixture(scope="module")
def running(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """The server of all tests here: two workers cost six seconds of processor time to start and renew."""
    front = Front(tmp_path_factory.mktemp("front"))
    yield front
    front.process.terminate()
    assert front.process.wait(timeout=60) == 0


@pytest.fixture
def front(running: Front) -> Front:
    running.begin()
    return running


@pytest.fixture
def connect(front: Front) -> Iterator[Callable[[], http.client.HTTPConnection]]:
    made: list[http.client.HTTPConnection] = []

    def connect() -> http.client.HTTPConnection:
        made.append(front.connect())
        return made[-1]

    yield connect
    for connection in made:
        connection.close()


def ask(connection: http.client.HTTPConnection, path: str = "/livez") -> tuple[int, str | None]:
    """The status, and what becomes of the connection."""
    connection.request("GET", path, headers={"Host": "localhost"})
    answer = connection.getresponse()
    answer.read()
    return answer.status, answer.headers["Connection"]


@pytest.mark.slow
def test_workers_are_renewed_and_every_request_of_before_is_answered(
    front: Front, connect: Callable[[], http.client.HTTPConnection], tmp_path: Path
) -> None:
    before, may_end = front.pids(), tmp_path / "end"
    kept, waiting = connect(), connect()
    assert ask(kept) == (200, None)
    waiting.request("GET", f"/wait?{may_end}", headers={"Host": "localhost"})
    stop, statuses = threading.Event(), set()

    def send() -> None:
        with closing(front.connect()) as connection:
            while not stop.is_set():
                statuses.add(ask(connection)[0])

    senders = [threading.Thread(target=send) for _ in range(3)]
    for sender in senders:
        sender.start()
    front.renew()
    wait_until(lambda: front.logged("workers_renewed") == 1, seconds=60, what="the renewal")
    assert ask(kept) == (200, "close")
    assert ask(kept) == (200, None)
    may_end.touch()
    assert waiting.getresponse().read() == b"waited"
    wait_until(lambda: not front.pids() & before, seconds=60, what="the workers of before to end")
    stop.set()
    for sender in senders:
        sender.join(timeout=30)
    assert (statuses, len(front.pids()), front.logged("worker_ended")) == ({200}, 2, 0)


@pytest.mark.slow
def test_workers_stay_where_the_new_ones_cannot_start(
    front: Front, connect: Callable[[], http.client.HTTPConnection]
) -> None:
    before, kept = front.pids(), connect()
    ask(kept)
    front.keys.write_text("short")
    front.renew()
    wait_until(lambda: front.logged("workers_not_renewed") == 1, seconds=60, what="the renewal to be given up")
    wait_until(lambda: front.pids() == before, seconds=60, what="the new workers to be gone")
    assert ask(kept) == (200, None)
    front.keys.write_text(KEY)
    front.renew()
    wait_until(lambda: front.logged("workers_renewed") == 1, seconds=60, what="the renewal")
    assert ask(connect())[0] == 200
    kept.close()
    wait_until(lambda: not front.pids() & before, seconds=60, what="the workers of before to end")
