"""Scenes of streams: sealed records, targets in a file, and far ends that are real servers."""

import json
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from audit.ledger import reader, seal
from audit.models import Stream
from audit.streams import kinds
from audit.streams import stream as streaming
from audit.streams.stream import stream
from tests.audit.evidence.conftest import sealed


class Answer(NamedTuple):
    """What the far end answers: a status, a body and headers. `cut` lets it hang up in place of an answer."""

    status: int = 200
    body: bytes = b"{}"
    headers: tuple[tuple[str, str], ...] = ()
    cut: bool = False


class FarEnd:
    """A HTTP server that keeps what it was sent and answers as it is told."""

    def __init__(self) -> None:
        # Answers to come, the usual one after them.
        self.answers: list[Answer] = []
        self.usual: Callable[[str, bytes], Answer] = lambda path, body: Answer()
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        # The bodies that were answered 2xx, which it has therefore taken.
        self.taken: list[bytes] = []
        self.at: list[float] = []
        self.slow_s = 0.0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def lines(self) -> list[dict[str, Any]]:
        """The documents that it has taken, as lines of JSON."""
        return [json.loads(line) for body in self.taken for line in body.splitlines()]

    def leaves(self) -> list[int]:
        return [line["leaf_index"] for line in self.lines()]

    def _answer(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        self.asked.append((path, headers, body))
        self.at.append(time.monotonic())
        time.sleep(self.slow_s)
        answer = self.answers.pop(0) if self.answers else self.usual(path, body)
        if 200 <= answer.status < 300 and not answer.cut:
            self.taken.append(body)
        return answer

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        far_end = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = far_end._answer(self.path, dict(self.headers), body)
                if answer.cut:
                    self.close_connection = True
                    with suppress(OSError):
                        self.connection.shutdown(socket.SHUT_RDWR)
                    return
                self.send_response(answer.status)
                for name, value in (*answer.headers, ("Content-Length", str(len(answer.body)))):
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler


@pytest.fixture
def far_end() -> Iterator[FarEnd]:
    server = FarEnd()
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for half a second, a minute or a person waits for a hundredth of a second."""
    for name in ("BACKOFF_S", "MISCONFIGURED_S", "POLL_S", "HELD_POLL_S"):
        monkeypatch.setattr(streaming, name, 0.01)
    monkeypatch.setattr(streaming, "BACKOFF_MOST_S", 0.05)


class Scene:
    """A target in a file of its own, which is given the log from the end of what other tests have left."""

    def __init__(self, settings: Any, folder: Path):
        self._settings, self._folder = settings, folder
        self.name = f"t-{secrets.token_hex(4)}"
        seal.Sealer().once(from_start=True)
        self.first = reader.signed_size()
        settings.STREAMS_FILE = folder / "streams.toml"

    @property
    def file(self) -> Path:
        return Path(self._settings.STREAMS_FILE)

    def has(self, **members: Any) -> "Scene":
        """The file says this of the target."""
        members = {"first": self.first, "unredacted": True} | members
        lines = [f"{name} = {json.dumps(value)}\n" for name, value in members.items()]
        self.file.write_text(f"[{self.name}]\n" + "".join(lines), encoding="utf-8")
        return self

    def records(self, count: int, **changes: Any) -> list[int]:
        """So many new sealed records; their leaves."""
        while seal.Sealer().once().more:  # what other tests, or a rule that was saved, have left
            pass
        begin = reader.signed_size()
        sealed(count, **changes)
        return [*range(begin, reader.signed_size())]

    def once(self) -> int:
        return stream(kinds.plan_of(self.name), threading.Event(), follow=False)

    def row(self) -> Stream:
        return Stream.objects.get(pk=self.name)


@pytest.fixture
def scene(settings: Any, tmp_path: Path) -> Scene:
    return Scene(settings, tmp_path)
