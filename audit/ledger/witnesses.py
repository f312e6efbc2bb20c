"""Ask witnesses to cosign checkpoints.

The signature protects the log from a database administrator, but not from an operator, who has the key. A copy that
neither of them controls protects from both: a witness (C2SP tlog-witness), or storage that cannot be overwritten.
"""

import http.client
import io
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from typing import Any, NamedTuple

from django.conf import settings

from audit.errors import AuditError
from audit.formats import note
from audit.formats.note import Verifier
from audit.ledger import reader
from audit.models import Checkpoint
from audit.postgres import sql

# For a whole answer, however it comes.
TIMEOUT_S = 5.0
MAX_ANSWER = 64 * 1024


class WitnessRefused(AuditError):
    """The witness did not cosign."""


class WitnessAhead(WitnessRefused):
    """The witness has seen more of the log than there is, or another log of this name."""


class NothingSeen(OSError):
    """The witness answers, and has seen nothing of this log."""


class RemoteWitness(NamedTuple):
    url: str
    verifier: Verifier


def witnesses() -> list[RemoteWitness]:
    """Return the witnesses of SEAL_WITNESSES that are asked. Raises `NoteError` or `ValueError`."""
    return [witness for witness in _configured() if witness.url]


def verifiers() -> list[Verifier]:
    """Return every key of SEAL_WITNESSES, also those of before (`=KEY`), whose cosignatures are still believed.

    Raises `NoteError` or `ValueError`.
    """
    return [witness.verifier for witness in _configured()]


def _configured() -> list[RemoteWitness]:
    configured = []
    for text in settings.SEAL_WITNESSES:
        url, separator, key = text.partition("=")
        verifier = Verifier.parse(key)
        is_asked = url.startswith(("http://", "https://"))
        if not separator or not (is_asked or not url) or verifier.kind != note.COSIGNATURE:
            raise ValueError(
                "SEAL_WITNESSES takes URL=KEY, the key being one that a witness cosigns with; =KEY: one of before"
            )
        configured.append(RemoteWitness(url.rstrip("/"), verifier))
    return configured


def cosign(witness: RemoteWitness, checkpoint: Checkpoint) -> None:
    """Have a witness cosign a checkpoint, and store its line. Raises `WitnessRefused` and `OSError`."""
    old = _last_size(witness)
    status, answer = _ask(witness, checkpoint, old)
    if status == 409:
        # It has seen a larger log than we remember: we crashed, or our database was restored.
        size = answer.strip()
        seen = int(size) if size.isascii() and size.isdigit() and len(size) < 19 else -1
        if not 0 <= seen <= checkpoint.size:
            raise WitnessAhead(f"The witness {witness.verifier.name} has seen {seen} records, more than there are.")
        status, answer = _ask(witness, checkpoint, seen)
    if status != 200:
        refusal = WitnessAhead if status == 422 else WitnessRefused
        raise refusal(f"The witness {witness.verifier.name} answered {status}: {answer.strip()[:200]}")
    _keep(witness, checkpoint, answer)


def latest_of(witness: RemoteWitness, origin: str) -> str:
    """Fetch the newest checkpoint of a log that a witness has seen, as a note. Raises `OSError`, and `NothingSeen`."""
    url = f"{witness.url}/{sha256(origin.encode()).hexdigest()}/checkpoint"
    try:
        with _answering(), _open(url) as answer:
            return str(answer.read(MAX_ANSWER).decode("utf-8", "replace"))
    except urllib.error.HTTPError as error:
        error.close()  # it holds the connection
        if error.code == 404:
            raise NothingSeen(f"{witness.verifier.name} has seen nothing of {origin}") from None
        raise


def _ask(witness: RemoteWitness, checkpoint: Checkpoint, old: int) -> tuple[int, str]:
    proof = reader.consistency(old, checkpoint.size, "default")
    body = "".join([f"old {old}\n", *(f"{note.encode64(value)}\n" for value in proof), "\n", checkpoint.note])
    request = urllib.request.Request(f"{witness.url}/add-checkpoint", body.encode(), method="POST")
    try:
        with _answering(), _open(request) as answer:
            return answer.status, answer.read(MAX_ANSWER).decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(MAX_ANSWER).decode("utf-8", "replace")


def _open(request: str | urllib.request.Request) -> Any:
    """The answer to a request, all of which comes within TIMEOUT_S. Raises `OSError`, also while it is read."""
    return urllib.request.build_opener(_Bounded(time.monotonic() + TIMEOUT_S)).open(request, timeout=TIMEOUT_S)


class _Bounded(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
    """Ends at a moment of the monotonic clock. A timeout of a socket is for each part of an answer, and no bound."""

    def __init__(self, ends_at: float):
        super().__init__()
        self._ends_at = ends_at

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._connecting(http.client.HTTPConnection), req)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._connecting(http.client.HTTPSConnection), req)

    def _connecting(self, kind: Callable[..., Any]) -> Callable[..., Any]:
        def connect(host: str, **options: Any) -> Any:
            connection = kind(host, **options)
            connection.response_class = partial(_Answer, ends_at=self._ends_at)
            return connection

        return connect


class _Answer(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, ends_at: float, **options: Any):
        super().__init__(sock, *args, **options)
        self.fp = io.BufferedReader(_Parts(sock, self.fp.detach(), ends_at))


class _Parts(io.RawIOBase):
    """What a socket receives, each part within the time that is left for all."""

    def __init__(self, sock: socket.socket, parts: io.RawIOBase, ends_at: float):
        self._socket, self._parts, self._ends_at = sock, parts, ends_at

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if (left := self._ends_at - time.monotonic()) <= 0:
            raise TimeoutError("the answer took too long")
        self._socket.settimeout(left)
        return self._parts.readinto(buffer)

    def close(self) -> None:
        self._parts.close()
        super().close()


@contextmanager
def _answering() -> Iterator[None]:
    """Raise `OSError` for an answer that is not HTTP."""
    try:
        yield
    except (http.client.HTTPException, ValueError) as error:
        raise OSError(f"no HTTP answer ({type(error).__name__})") from error


def _keep(witness: RemoteWitness, checkpoint: Checkpoint, answer: str) -> None:
    text, _ = note.split(checkpoint.note)
    try:
        _, (attested, *_) = note.verify(note.join(text, [answer]), [witness.verifier])
    except note.NoteError as error:
        raise WitnessRefused(f"The witness {witness.verifier.name} sent no cosignature: {error}") from None
    (line,) = [line for line in answer.splitlines(keepends=True) if line.split(" ")[1] == witness.verifier.name][:1]
    moment = datetime.fromtimestamp(attested.moment or 0, UTC)
    sql.run(
        "INSERT INTO audit_cosignature (checkpoint, name, line, attested_at) VALUES (%s, %s, %s, %s) "
        "ON CONFLICT (checkpoint, name) DO NOTHING",
        [checkpoint.number, witness.verifier.name, line, moment],
    )


def _last_size(witness: RemoteWitness) -> int:
    [(size,)] = sql.rows(
        "SELECT coalesce(max(size), 0) FROM audit_checkpoint "
        "WHERE number = (SELECT max(checkpoint) FROM audit_cosignature WHERE name = %s)",
        [witness.verifier.name],
    )
    return int(size)
