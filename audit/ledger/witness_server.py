"""A stand-alone witness (C2SP tlog-witness): remembers the newest tree of each log, and cosigns only what continues it.

It is independent of the store: its state is a directory with a key and a small SQLite file, and it needs no server.
It adds trust only where somebody other than the store's operator runs it.
"""

import contextlib
import http.server
import os
import secrets
import sqlite3
import time
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from audit.formats import merkle, note
from audit.formats.note import NoteError, Signer, Verifier

MAX_BODY = 64 * 1024
TIMEOUT_S = 10
PLAIN, SIZE = "text/plain; charset=utf-8", "text/x.tlog.size"
SCHEMA = """
CREATE TABLE IF NOT EXISTS log (origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL, note TEXT NOT NULL)
"""


class HttpAnswer(NamedTuple):
    status: int
    text: str
    content_type: str = PLAIN


class RequestRefused(Exception):
    def __init__(self, status: int, text: str, content_type: str = PLAIN):
        super().__init__(text)
        self.answer = HttpAnswer(status, f"{text}\n", content_type)


class Request(NamedTuple):
    old: int
    proof: list[bytes]
    note: str
    head: note.TreeHead


class Witness:
    """One witness: its key, and what it has seen of the `logs` whose public keys it knows."""

    def __init__(self, folder: Path, logs: Sequence[Verifier]):
        self._folder = folder
        self._logs = list(logs)
        self._signer = Signer.parse((folder / "key").read_text(encoding="utf-8"))
        with self._state() as state:
            state.execute(SCHEMA)

    @classmethod
    def create(cls, folder: Path, name: str, logs: Sequence[Verifier]) -> "Witness":
        """Open the witness in `folder`; create one with this name and a new key where there is none."""
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "key").exists():
            signer = Signer(name, secrets.token_bytes(32))
            Signer.parse(signer.encode())  # a name that could not be read again is refused
            descriptor = os.open(folder / "key", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(signer.encode())
        return cls(folder, logs)

    @property
    def verifier(self) -> Verifier:
        return self._signer.verifier.as_cosigner()

    def add_checkpoint(self, body: bytes, now: int | None = None) -> HttpAnswer:
        """Cosign a head that continues the newest one seen; `now` in Unix seconds."""
        try:
            request = _parse(body)
            self._check_signature(request)
            return HttpAnswer(200, self._persist(request, int(time.time()) if now is None else now))
        except RequestRefused as refusal:
            return refusal.answer

    def checkpoint(self, origin_hash: str) -> str | None:
        """Return the newest cosigned note of the log whose origin has this SHA-256, in hex."""
        with self._state() as state:
            rows = state.execute("SELECT origin, note FROM log").fetchall()
        return next((text for origin, text in rows if sha256(origin.encode()).hexdigest() == origin_hash), None)

    def _check_signature(self, request: Request) -> None:
        verifiers = [verifier for verifier in self._logs if verifier.name == request.head.origin]
        if not verifiers:
            raise RequestRefused(404, f"The log {request.head.origin} is not known here.")
        try:
            note.verify(request.note, verifiers)
        except NoteError as error:
            raise RequestRefused(403, f"Not signed by the log: {error}.") from None

    def _persist(self, request: Request, now: int) -> str:
        """Check against the state and store the new head in one transaction, and only then sign."""
        head = request.head
        text, _ = note.split(request.note)
        with self._state() as state:
            state.execute("BEGIN IMMEDIATE")
            row = state.execute("SELECT size, root FROM log WHERE origin = ?", [head.origin]).fetchone()
            size, root = row or (0, merkle.EMPTY_ROOT)
            _check_growth(request, size, root)
            line = self._signer.cosign(text, now)
            values = [head.origin, head.size, head.root, request.note + line]
            state.execute("INSERT OR REPLACE INTO log (origin, size, root, note) VALUES (?, ?, ?, ?)", values)
            state.execute("COMMIT")
        return line

    @contextlib.contextmanager
    def _state(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._folder / "state.sqlite3", timeout=TIMEOUT_S, isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous = FULL")
            yield connection
        finally:
            connection.close()  # what was not committed is undone


def serve(witness: Witness, host: str, port: int) -> http.server.ThreadingHTTPServer:
    """Return the witness as an HTTP server, bound and not running yet."""

    class Handler(_Handler):
        of = witness

    return http.server.ThreadingHTTPServer((host, port), Handler)


class _Handler(http.server.BaseHTTPRequestHandler):
    of: Witness
    timeout = TIMEOUT_S
    server_version, sys_version = "witness", ""

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if self.path.rstrip("/") != "/add-checkpoint":
            self._answer(HttpAnswer(404, "Nothing is served here.\n"))
        elif not (length.isascii() and length.isdigit()):
            self._answer(HttpAnswer(411, "Content-Length is needed.\n"))
        elif int(length) > MAX_BODY:
            self._answer(HttpAnswer(413, f"At most {MAX_BODY} bytes.\n"))
        else:
            self._answer(self.of.add_checkpoint(self.rfile.read(int(length))))

    def do_GET(self) -> None:
        origin_hash, _, rest = self.path.strip("/").partition("/")
        cosigned = self.of.checkpoint(origin_hash) if rest == "checkpoint" else None
        self._answer(
            HttpAnswer(200, cosigned) if cosigned is not None else HttpAnswer(404, "No such log is known here.\n")
        )

    def _answer(self, answer: HttpAnswer) -> None:
        body = answer.text.encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _parse(body: bytes) -> Request:
    try:
        head, blank, text = body.decode("utf-8").partition("\n\n")
        first, *lines = head.split("\n")
        word, _, size = first.partition(" ")
        if not blank or word != "old" or not (size.isascii() and size.isdigit()) or len(size) > 19:
            raise NoteError("the first line is `old` and a size, and a blank line ends the proof")
        checkpoint = note.TreeHead.parse(note.split(text)[0])
        request = Request(int(size), note.hashes(lines), text, checkpoint)
    except (UnicodeDecodeError, NoteError) as error:
        raise RequestRefused(400, f"This is no add-checkpoint request: {error}.") from None
    return request


def _check_growth(request: Request, size: int, root: bytes) -> None:
    """Apply the checks of the specification, in its order."""
    head = request.head
    if request.old > head.size:
        raise RequestRefused(400, f"The old size {request.old} is larger than the new one, {head.size}.")
    if request.old != size:
        raise RequestRefused(409, str(size), SIZE)
    if size in (0, head.size):
        if request.proof or (size == head.size and head.root != root):
            raise RequestRefused(422, "The proof must be empty, and the root of the same size the same.")
        return
    try:
        merkle.verify_consistency(size, head.size, request.proof, root, head.root)
    except merkle.ProofError as error:
        raise RequestRefused(422, f"The log does not continue the one that was seen: {error}.") from None
