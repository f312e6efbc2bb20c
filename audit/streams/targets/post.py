"""post: one HTTP connection that is kept: a request at a time, each with a deadline, its answer bounded.

Redirects are not followed, certificates are always checked.
"""

import gzip
import http.client
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import urlsplit

from audit.streams.config import Options
from audit.streams.faults import Misconfigured, TargetFault, Unavailable

MAX_ANSWER_BYTES = 32 * 1024 * 1024
# So long a target may ask us to wait; what asks for more is asked again after this.
MAX_RETRY_AFTER_S = 3600.0
# Answers that say: the same again, later.
LATER = {408, 425, 429, 500, 502, 503, 504, 507, 509, 522, 524, 529}
SHOWN = 300


class Answer(NamedTuple):
    """The answer of the target: a status, the seconds that it asks us to wait for, its body."""

    status: int
    retry_after_s: float | None
    body: bytes

    @property
    def text(self) -> str:
        """The beginning of the body, on one line."""
        return " ".join(self.body[: 4 * SHOWN].decode(errors="replace").split())[:SHOWN]


class Post:
    """Posts to one address; connects when it has to."""

    def __init__(self, options: Options):
        self.url = options.url("url").rstrip("/")
        self._parts = urlsplit(self.url)
        self._timeout_s = options.number("timeout_s", 30, least=0.1, most=600)
        self._gzip = options.flag("gzip", False)
        self._ca_file = options.path("ca_file")
        self._certificate, self._key = options.path("certificate_file"), options.path("certificate_key_file")
        self._connection: http.client.HTTPConnection | None = None

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Post to the path below the address, and return the answer whole. Raises `TargetFault`."""
        headers = dict(headers)
        if self._gzip:
            body, headers["Content-Encoding"] = gzip.compress(body, compresslevel=1), "gzip"
        try:
            connection = self._connected()
            with _deadline(connection, self._timeout_s):
                connection.request("POST", self._parts.path + path, body, headers)
                response = connection.getresponse()
                read = response.read(MAX_ANSWER_BYTES + 1)
        except ssl.SSLCertVerificationError as error:
            self.close()
            raise Misconfigured(f"{self.url}: its certificate is not believed: {error.verify_message}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise Unavailable(f"{self.url} did not answer: {_why(error)}") from None
        if len(read) > MAX_ANSWER_BYTES or response.will_close:
            self.close()
        return Answer(response.status, _retry_after_s(response.getheader("Retry-After")), read)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> http.client.HTTPConnection:
        if self._connection is None:
            host, port = self._parts.hostname or "", self._parts.port
            if self._parts.scheme == "https":
                self._connection = http.client.HTTPSConnection(
                    host, port, timeout=self._timeout_s, context=self._context()
                )
            else:
                self._connection = http.client.HTTPConnection(host, port, timeout=self._timeout_s)
            self._connection.connect()
        return self._connection

    def _context(self) -> ssl.SSLContext:
        return tls_context(self.url, self._ca_file, self._certificate, self._key)


def tls_context(place: str, ca_file: object, certificate: object, key: object) -> ssl.SSLContext:
    """A context that checks certificates, with one of ours where it is given. Raises `Misconfigured`."""
    try:
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
        if certificate:
            context.load_cert_chain(str(certificate), str(key) if key else None)
    except OSError as error:
        raise Misconfigured(f"{place}: ca_file or certificate_file cannot be used: {_why(error)}") from None
    return context


def fault_of(answer: Answer, url: str) -> TargetFault:
    """What an answer that is no success means, where its kind of target knows no more of it."""
    text = f"{url} answered {answer.status}: {answer.text}"
    if answer.status in LATER:
        return Unavailable(text, answer.retry_after_s)
    return Misconfigured(text)


@contextmanager
def _deadline(connection: http.client.HTTPConnection, seconds: float) -> Iterator[None]:
    """Cut the connection after so long in all: each single wait of a trickle would be in time."""

    def cut() -> None:
        if (sock := connection.sock) is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _retry_after_s(text: str | None) -> float | None:
    """Seconds, or a date; None for what is neither."""
    if text is None:
        return None
    if text.strip().isascii() and text.strip().isdigit():
        return min(float(text), MAX_RETRY_AFTER_S)
    try:
        at = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max((at - datetime.now(UTC)).total_seconds(), 0.0), MAX_RETRY_AFTER_S)


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
