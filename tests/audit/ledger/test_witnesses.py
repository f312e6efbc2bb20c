"""Asking a witness: whatever it answers, and however slowly, nobody waits for long."""

import socketserver
import threading
import time
from collections.abc import Iterator

import pytest

from audit.formats.note import Signer
from audit.ledger import witnesses
from audit.ledger.witnesses import RemoteWitness
from audit.models import Checkpoint

ANSWER = b"HTTP/1.1 200 OK\r\nX-Slow: " + b"s" * 20 + b"\r\nContent-Length: 20\r\n\r\n" + b"b" * 20
BODY_AT = ANSWER.index(b"\r\n\r\n") + 4


class Trickling(socketserver.BaseRequestHandler):
    """Sends a part of its answer at once, and then a byte each tenth of a second."""

    at_once = 0

    def handle(self) -> None:
        self.request.recv(64 * 1024)
        try:
            self.request.sendall(ANSWER[: self.at_once])
            for at in range(self.at_once, len(ANSWER)):
                time.sleep(0.1)
                self.request.sendall(ANSWER[at : at + 1])
        except OSError:
            return  # who asked has hung up


@pytest.fixture(params=[0, BODY_AT], ids=["its head", "its body"])
def trickling(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[RemoteWitness]:
    """A witness that sends more within each wait for it, and takes longer than it may for all."""
    monkeypatch.setattr(Trickling, "at_once", request.param)
    monkeypatch.setattr(witnesses, "TIMEOUT_S", 0.5)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Trickling) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        verifier = Signer("slow.example", bytes(32)).verifier.as_cosigner()
        yield RemoteWitness(f"http://127.0.0.1:{server.server_address[1]}", verifier)
        server.shutdown()
        thread.join()


def test_a_witness_that_trickles_what_it_has_seen_is_given_up(trickling: RemoteWitness) -> None:
    with pytest.raises(TimeoutError):
        witnesses.latest_of(trickling, "audit.example/log")


def test_a_witness_that_trickles_its_cosignature_is_given_up(trickling: RemoteWitness) -> None:
    with pytest.raises(TimeoutError):
        witnesses.cosign(trickling, Checkpoint(number=0, size=0, root=bytes(32), note="a note\n"))
