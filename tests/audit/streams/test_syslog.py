"""Syslog receivers get each record whole: by its length, over TCP and TLS, again where they did not read all of it."""

import json
import re
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from audit.streams.config import Options
from audit.streams.leaves import Line
from audit.streams.stream import GaveUp
from audit.streams.targets.syslog import SyslogTarget
from tests.audit.streams import tls_end
from tests.audit.streams.conftest import Scene

HEADER = re.compile(
    rb"<(?P<priority>\d{1,3})>1 (?P<time>\S+) (?P<host>\S+) (?P<app>\S+) - (?P<kind>\S+) (?P<data>\[.*?[^\\]\]) "
    rb"\xef\xbb\xbf(?P<body>.*)\Z",
    re.DOTALL,
)


class Message(NamedTuple):
    priority: int
    kind: str
    data: str
    document: dict[str, Any]


class Receiver:
    """A syslog server. A connection that it cuts is reset, with what it had not read."""

    def __init__(self, context: ssl.SSLContext | None = None):
        self._context = context
        self.messages: list[Message] = []
        # Of the connections to come, after how many bytes each is cut; the others are read to their ends.
        self.cuts: list[int] = []
        self.closes = True
        self._open: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def leaves(self) -> list[int]:
        return [message.document["leaf_index"] for message in self.messages]

    def close(self) -> None:
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()
        for connection in self._open:
            connection.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with suppress(OSError):
                self._receive(connection)

    def _receive(self, plain: socket.socket) -> None:
        plain.settimeout(20)
        connection = plain if self._context is None else self._context.wrap_socket(plain, server_side=True)
        cut = self.cuts.pop(0) if self.cuts else None
        read = b""
        while part := connection.recv(64 if cut is not None else 65_536):
            read += part
            if cut is not None and len(read) > cut:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()
                break
        self._parse(read)
        if not self.closes:
            self._open.append(connection)
        elif cut is None:
            if isinstance(connection, ssl.SSLSocket):
                with suppress(OSError):
                    connection = connection.unwrap()
            connection.close()

    def _parse(self, read: bytes) -> None:
        """Keep what came whole, as a receiver does that is cut off."""
        while (found := re.match(rb"([1-9]\d*) ", read)) and len(read) >= found.end() + int(found[1]):
            whole, read = read[found.end() :][: int(found[1])], read[found.end() + int(found[1]) :]
            match = HEADER.match(whole)
            assert match is not None, whole
            document = json.loads(match["body"])
            self.messages.append(
                Message(int(match["priority"]), match["kind"].decode(), match["data"].decode(), document)
            )


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    try:
        yield server
    finally:
        server.close()


def test_a_record_is_a_message_after_its_length(scene: Scene, receiver: Receiver) -> None:
    scene.has(type="syslog", host="127.0.0.1", port=receiver.port, tls=False, batch_records=4)
    scene.records(6, severity="critical", event_data={"text": "ü\nand more"})
    scene.once()
    assert receiver.leaves() == [*range(scene.first, scene.row().position)]
    first = receiver.messages[0]
    assert (first.priority, first.kind) == (13 * 8 + 2, "gateway.signal.received")
    assert first.document["event_data"] == {"text": "ü\nand more"}
    assert f'leaf_index="{scene.first}"' in first.data and 'event_outcome="success"' in first.data


def test_what_a_receiver_did_not_read_to_its_end_is_sent_again(scene: Scene, receiver: Receiver) -> None:
    scene.has(type="syslog", host="127.0.0.1", port=receiver.port, tls=False, batch_records=5)
    scene.records(12, event_data={"text": "x" * 2_000})
    receiver.cuts = [0, 3_000]
    scene.once()
    seen = scene.first
    for leaf in receiver.leaves():
        assert leaf <= seen
        seen = max(seen, leaf + 1)
    assert seen == scene.row().position >= scene.first + 12


def test_a_receiver_that_never_closes_is_said_to_be_so(scene: Scene, receiver: Receiver) -> None:
    scene.has(type="syslog", host="127.0.0.1", port=receiver.port, tls=False, timeout_s=0.2)
    scene.records(1)
    receiver.closes = False
    with pytest.raises(GaveUp, match="never closes when the sender has ended"):
        scene.once()
    assert scene.row().position == scene.first


def test_a_receiver_that_ends_its_side_before_all_has_arrived_has_not_taken_the_batch(scene: Scene) -> None:
    """It reads nothing, and its window is small: most of the batch is still with us when its end comes."""
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    server.bind(("127.0.0.1", 0))
    server.listen()
    ended: list[socket.socket] = []

    def ends() -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                connection.shutdown(socket.SHUT_WR)
                ended.append(connection)

    thread = threading.Thread(target=ends, daemon=True)
    thread.start()
    scene.has(type="syslog", host="127.0.0.1", port=server.getsockname()[1], tls=False, timeout_s=0.3)
    scene.records(20, event_data={"text": "x" * 5_000})
    try:
        with pytest.raises(GaveUp, match=r"ended the connection and has not taken the last [0-9,]+ bytes of a batch"):
            scene.once()
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()
        for connection in ended:
            connection.close()
    assert scene.row().position == scene.first


def test_a_receiver_that_is_away_loses_nothing(scene: Scene) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    scene.has(type="syslog", host="127.0.0.1", port=port, tls=False)
    scene.records(1)
    with pytest.raises(GaveUp, match="refused"):
        scene.once()
    assert scene.row().position == scene.first


def test_a_record_that_is_longer_than_receivers_take_is_a_reference(scene: Scene, receiver: Receiver) -> None:
    scene.has(type="syslog", host="127.0.0.1", port=receiver.port, tls=False)
    scene.records(1, event_data={"text": "x" * 9_000})
    scene.once()
    assert "and the target takes 8,000" in receiver.messages[0].document["left_out"]


@pytest.mark.slow
def test_over_tls_the_receiver_is_known_by_its_certificate(scene: Scene, tmp_path: Path) -> None:
    certificate = tls_end.certificate(tmp_path / "receiver.pem", "receiver", "127.0.0.1")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    receiver = Receiver(context)
    try:
        scene.has(type="syslog", host="127.0.0.1", port=receiver.port, ca_file=str(certificate), batch_records=3)
        scene.records(7)
        scene.once()
        assert receiver.leaves() == [*range(scene.first, scene.row().position)]
        scene.has(type="syslog", host="127.0.0.1", port=receiver.port)
        scene.records(1)
        with pytest.raises(GaveUp, match="certificate is not believed"):
            scene.once()
    finally:
        receiver.close()


def test_values_cannot_end_their_parameter_or_the_header(scene: Scene) -> None:
    target = SyslogTarget(Options("t", {"type": "syslog", "host": "h", "tls": False, "hostname": "a b\nc"}))
    document = {
        **{"leaf_index": 1, "event_id": "e", "state": "sealed", "event_type": "a b]c", "severity": "nobody knows"},
        **{"correlation_id": 'x"]\\ \n<1>', "event_timestamp": None},
    }
    frame = target.frame(Line(1, json.dumps(document).encode()))
    length, message = frame.split(b" ", 1)
    assert int(length) == len(message)
    head = message.split(b"\xef\xbb\xbf")[0].decode()
    assert head == (
        '<110>1 - a_b_c auditsite - a_b]c [audit@32473 leaf_index="1" event_id="e" correlation_id="x\\"\\]\\\\  <1>"] '
    )
