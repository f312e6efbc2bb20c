"""The server as a process, with one worker of one thread."""

import gzip
import http.client
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import pytest

from auditsite.front import bounds
from auditsite.front.gate import Gate
from auditsite.front.worker import COMES, READY
from bench.fleet import answers
from bench.load import wait_until
from bench.ports import free_port
from tests.audit.conftest import EVENTS, Sender, with_id

PER_ADDRESS = 20


class Front:
    def __init__(self, workers: int = 1) -> None:
        self.port = free_port()
        size = ("--workers", str(workers), "--threads", "1")
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "auditsite.front", "--role", "ingest", "--port", str(self.port), *size),
                "tests.auditsite.front.waiting:application",
            ],
            env=os.environ | {"CONNECTIONS_PER_ADDRESS": str(PER_ADDRESS)},
        )
        wait_until(lambda: answers(self.port), seconds=60, what="the server")

    def connect(self, source: str = "127.0.0.1") -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=60, source_address=(source, 0))

    def get(self, path: str, source: str = "127.0.0.1") -> int:
        """Return the status; 0 where the connection was refused."""
        with suppress(ConnectionResetError), self.connect(source) as client:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            return int(client.recv(65536)[9:12] or 0)
        return 0


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    front = Front()
    yield front
    front.process.terminate()
    assert front.process.wait(timeout=60) == 0


@pytest.fixture(scope="module")
def sender(django_db_setup: None) -> Sender:
    return Sender("write", "read")


def head(path: str, *lines: str) -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()


@pytest.mark.slow
def test_a_body_without_a_key_is_refused_before_it_comes(front: Front) -> None:
    with front.connect() as client:
        client.sendall(head("/api/v1/audit/events", "Content-Type: application/json", "Content-Length: 100"))
        answer = client.recv(10_000)
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert b"Connection: close" in answer
        assert client.recv(10_000) == b""


@pytest.mark.slow
def test_the_answer_of_a_probe_needs_no_thread(front: Front, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with front.connect() as held, front.connect() as dripping, front.connect() as queued:
        held.sendall(f"GET /wait?{gate} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        dripping.sendall(head("/livez", "Content-Length: 100"))
        queued.sendall(b"GET /wait?/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
        statuses = [front.get("/livez") for _ in range(5)]
        gate.touch()
        assert statuses == [200] * 5
        assert held.recv(10_000).endswith(b"waited")
        assert queued.recv(10_000).endswith(b"waited")


@pytest.mark.slow
def test_who_has_too_many_connections_gets_no_more_and_others_do(front: Front) -> None:
    mine = [front.connect("127.0.0.9") for _ in range(PER_ADDRESS)]
    with front.connect("127.0.0.9") as refused:
        assert refused.recv(1) == b""
    assert front.get("/livez", "127.0.0.8") == 200
    for client in mine:
        client.close()
    wait_until(lambda: front.get("/livez", "127.0.0.9") == 200, seconds=60, what="room for another connection")


@pytest.mark.slow
def test_no_thread_works_for_a_client_that_has_hung_up_while_it_waited_for_one(front: Front, tmp_path: Path) -> None:
    gate, never = tmp_path / "gate", tmp_path / "never"
    with front.connect() as held, front.connect() as gone:
        held.sendall(f"GET /wait?{gate} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        gone.sendall(f"GET /wait?{never} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert front.get("/livez") == 200  # after which the other has been read, and waits
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        gone.close()
        gate.touch()
        assert held.recv(10_000).endswith(b"waited")
    try:
        with front.connect() as client:
            client.settimeout(10)
            client.sendall(b"GET /wait?/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert client.recv(10_000).endswith(b"waited")
    finally:
        never.touch()


def sent_at_once() -> int:
    """How many connections a worker can be sent that takes none."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        for number in count():
            try:
                socket.send_fds(ours, [COMES + READY], [theirs.fileno()])
            except OSError:
                return number
    raise AssertionError


@pytest.mark.slow
def test_who_resets_before_a_worker_takes_the_connection_has_as_many_as_before(front: Front) -> None:
    (worker,) = psutil.Process(front.process.pid).children()
    worker.suspend()
    try:
        for _ in range(PER_ADDRESS):
            client = front.connect("127.0.0.7")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
    finally:
        worker.resume()
    assert front.get("/livez", "127.0.0.6") == 200  # after which the others have been taken
    wait_until(lambda: front.get("/livez", "127.0.0.7") == 200, seconds=60, what="room for another connection")


def test_while_no_worker_is_there_yet_a_connection_waits_for_one() -> None:
    gate = Gate(("127.0.0.1", 0), "none:none", workers=1, threads=1, per_address=1, stay=False)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        gate._admit(theirs, "127.0.0.5")
        gate._listener.close()
        assert gate._held == (theirs, "127.0.0.5")


@pytest.mark.slow
def test_connections_that_a_worker_cannot_be_sent_yet_wait_and_are_not_refused(front: Front) -> None:
    (worker,) = psutil.Process(front.process.pid).children()
    worker.suspend()
    clients = [front.connect(f"127.0.2.{number // PER_ADDRESS + 1}") for number in range(sent_at_once() + 100)]
    worker.resume()
    try:
        for client in clients:
            client.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert {client.recv(10_000)[:12] for client in clients} == {b"HTTP/1.1 200"}
    finally:
        for client in clients:
            client.close()


@pytest.mark.slow
@pytest.mark.parametrize(("path", "host"), [("/api/v1/audit/events", "evil.example"), ("//api/v1/none", "localhost")])
def test_what_is_wrong_below_api_is_a_problem_document(front: Front, path: str, host: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", front.port, timeout=60)
    connection.request("GET", path, headers={"Host": host})
    answer = connection.getresponse()
    body = json.loads(answer.read())
    assert (answer.status, answer.headers["Content-Type"]) == (body["status"], "application/problem+json")
    connection.close()


def cores(front: Front) -> list[list[int]]:
    return [worker.cpu_affinity() for worker in psutil.Process(front.process.pid).children()]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps a process to a core")
def test_a_worker_of_ingest_keeps_to_one_core(front: Front) -> None:
    assert [len(own) for own in cores(front)] == [1]


@pytest.mark.long
@pytest.mark.skipif(len(bounds.cores()) < 2, reason="needs Linux and two cores")
def test_workers_keep_to_different_cores_also_after_one_was_killed() -> None:
    front = Front(workers=2)
    try:
        assert len({core for own in cores(front) for core in own}) == 2
        psutil.Process(front.process.pid).children()[0].kill()
        wait_until(lambda: sorted(len(own) for own in cores(front)) == [1, 1], seconds=60, what="another worker")
        assert len({core for own in cores(front) for core in own}) == 2
    finally:
        front.process.terminate()
        assert front.process.wait(timeout=60) == 0


@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced(front: Front) -> None:
    (worker,) = psutil.Process(front.process.pid).children()
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    wait_until(lambda: front.get("/livez") == 200, seconds=60, what="another worker")


def post(front: Front, key: str, body: bytes, *lines: str, ended: bool = True) -> tuple[int, dict[str, Any]]:
    """Send the head of an event with these lines and a body, and return the answer."""
    with front.connect() as client:
        client.sendall(head(EVENTS, key, "Content-Type: application/json", *lines) + body)
        if not ended:
            client.shutdown(socket.SHUT_WR)
        answer = http.client.HTTPResponse(client)
        answer.begin()
        return answer.status, json.loads(answer.read())


def chunks(body: bytes, size: int = 100) -> bytes:
    """A chunked body but for its end."""
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


def of(sender: Sender, event: dict[str, Any]) -> int:
    """The status of asking for the event."""
    return int(sender.get(f"{EVENTS}/{event['event_id']}").status_code)


CHUNKED, END = "Transfer-Encoding: chunked", b"0\r\n\r\n"


@pytest.mark.slow
def test_an_event_comes_chunked_or_compressed_or_both_and_by_either_header_of_the_key(
    front: Front, sender: Sender
) -> None:
    for key in (f"Authorization: Bearer {sender.key}", f"X-API-Key: {sender.key}"):
        for lines in ([CHUNKED], ["Content-Encoding: gzip"], [CHUNKED, "Content-Encoding: gzip"]):
            event = with_id(event_data={"text": "x" * 1_000})
            body = json.dumps(event).encode()
            body = gzip.compress(body) if "Content-Encoding: gzip" in lines else body
            sent = chunks(body) + END if CHUNKED in lines else body
            length = [] if CHUNKED in lines else [f"Content-Length: {len(body)}"]
            status, answer = post(front, key, sent, *lines, *length)
            assert (status, answer["state"]) == (201, "stored")
            assert sender.get(f"{EVENTS}/{event['event_id']}").json()["event_data"] == event["event_data"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("encoding", "content", "status"),
    [
        ("gzip", gzip.compress(b" " * 50_000_000, 1), 413),
        ("gzip", gzip.compress(b"{}")[:-9], 400),
        ("deflate", b"{}", 415),
        ("gzip, gzip", gzip.compress(gzip.compress(b"{}")), 415),
    ],
    ids=["bomb", "cut off", "deflate", "twice"],
)
def test_what_cannot_be_unpacked_is_refused(
    front: Front, sender: Sender, encoding: str, content: bytes, status: int
) -> None:
    lines = (f"Content-Encoding: {encoding}", f"Content-Length: {len(content)}")
    assert post(front, f"X-API-Key: {sender.key}", content, *lines)[0] == status


@pytest.mark.slow
def test_of_a_body_that_ends_early_nothing_is_kept(front: Front, sender: Sender) -> None:
    key, event = f"X-API-Key: {sender.key}", with_id()
    body = json.dumps(event).encode()
    assert post(front, key, body, f"Content-Length: {len(body) + 1}", ended=False)[0] == 400
    assert post(front, key, chunks(body), CHUNKED, ended=False)[0] == 400
    with front.connect() as client:  # whose connection breaks
        client.sendall(head(EVENTS, key, "Content-Type: application/json", CHUNKED) + chunks(body))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert post(front, "X-API-Key: aw_wrong", body, f"Content-Length: {len(body)}")[0] == 401
    assert of(sender, event) == 404
    assert post(front, key, chunks(body) + END, CHUNKED)[0] == 201
    assert of(sender, event) == 200
