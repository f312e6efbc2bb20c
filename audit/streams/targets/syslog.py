"""syslog: RFC 5424 over TCP or TLS (RFC 5425), each message after its length (RFC 6587).

The protocol has no answers. So each batch has a connection of its own: we end our half of it, and the receiver, once it
has read all of it, closes the other. Where it resets the connection, never closes it, or closes before all of it has
arrived, the batch is sent again.
"""

import fcntl
import os
import re
import socket
import ssl
import sys
import termios
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from audit.streams.config import Options
from audit.streams.faults import Misconfigured, TargetFault, Unavailable
from audit.streams.leaves import Line
from audit.streams.targets.base import Taken
from audit.streams.targets.post import tls_context

# Facilities of RFC 5424's table, by the names that people use.
FACILITIES = {"auth": 4, "authpriv": 10, "audit": 13, **{f"local{n}": 16 + n for n in range(8)}}
# By the severities that writers use; of an unknown one: informational.
SEVERITIES = {
    **{"emergency": 0, "alert": 1, "critical": 2, "fatal": 2, "error": 3, "warning": 4, "warn": 4},
    **{"notice": 5, "info": 6, "debug": 7},
}
INFORMATIONAL = 6
ARRIVAL_POLL_S = 0.005
_NOT_PRINTABLE = re.compile(r"[^\x21-\x7e]")
# In the value of a parameter these are escaped (6.3.3).
_ESCAPED = re.compile(r'(["\\\]])')


class SyslogTarget:
    """A receiver, by host and port."""

    def __init__(self, options: Options):
        self._host = options.text("host")
        self._tls = options.flag("tls", True)
        self._port = options.integer("port", 6514 if self._tls else 601, least=1, most=65_535)
        self._timeout_s = options.number("timeout_s", 30, least=0.1, most=600)
        self._facility = FACILITIES[options.choice("facility", "audit", tuple(FACILITIES))]
        self._hostname = _name(options.text("hostname", socket.gethostname()), 255)
        self._app = _name(options.text("app_name", "auditsite"), 48)
        self._ca_file = options.path("ca_file")
        self._certificate, self._key = options.path("certificate_file"), options.path("certificate_key_file")

    @property
    def place(self) -> str:
        return f"{'tls' if self._tls else 'tcp'}://{self._host}:{self._port}"

    def resume(self) -> Taken | None:
        return None

    def send(self, lines: Sequence[Line]) -> None:
        body = b"".join(self.frame(line) for line in lines)
        ends = time.monotonic() + self._timeout_s
        try:
            with self._connected() as connection:
                _send(connection, body, ends)
                _await_end(connection, ends)
        except ssl.SSLCertVerificationError as error:
            raise Misconfigured(f"{self.place}: its certificate is not believed: {error.verify_message}") from None
        except OSError as error:
            raise self._fault(error) from None

    def close(self) -> None:
        """Nothing is kept open between batches."""

    def frame(self, line: Line) -> bytes:
        """The message with its length before it."""
        document = line.document()
        severity = SEVERITIES.get(str(document.get("severity", "")).lower(), INFORMATIONAL)
        at = document.get("event_timestamp") or "-"
        kind = _name(str(document.get("event_type") or document["state"]), 32)
        data = _parameters(document)
        head = f"<{self._facility * 8 + severity}>1 {at} {self._hostname} {self._app} - {kind} {data} "
        # The mark says that what follows is UTF-8 (6.4).
        message = head.encode() + b"\xef\xbb\xbf" + line.body
        return str(len(message)).encode() + b" " + message

    def _connected(self) -> socket.socket:
        plain = socket.create_connection((self._host, self._port), self._timeout_s)
        if not self._tls:
            return plain
        try:
            context = tls_context(self.place, self._ca_file, self._certificate, self._key)
            return context.wrap_socket(plain, server_hostname=self._host)
        except BaseException:
            plain.close()
            raise

    def _fault(self, error: OSError) -> TargetFault:
        why = error.strerror or str(error) or type(error).__name__
        if isinstance(error, TimeoutError):
            why = (
                f"it did not take a batch and close the connection within {self._timeout_s:g} s of its end. A receiver "
                "that never closes when the sender has ended cannot say that it has read"
            )
        return Unavailable(f"{self.place}: {why}")


def _send(connection: socket.socket, body: bytes, ends: float) -> None:
    view = memoryview(body)
    while view:
        _bound(connection, ends)
        view = view[connection.send(view[: 256 * 1024]) :]


def _await_end(connection: socket.socket, ends: float) -> None:
    """End our half, and wait until the receiver, having read all, ends its own. Raises `OSError`."""
    _bound(connection, ends)
    if isinstance(connection, ssl.SSLSocket):
        # Sends close_notify, and waits for that of the receiver. It may close without one.
        with suppress(ssl.SSLEOFError):
            connection = connection.unwrap()
        _bound(connection, ends)
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(4_096):
        _bound(connection, ends)
    _await_arrival(connection, ends)


def _await_arrival(connection: socket.socket, ends: float) -> None:
    """Wait until all that was sent is with the receiver: it may have ended its half while some was on the way.

    What comes to a receiver that has closed is answered by a reset. Raises `OSError`.
    """
    while waiting := _under_way(connection):
        if error := connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(error, os.strerror(error))
        if time.monotonic() > ends:
            raise OSError(f"it ended the connection and has not taken the last {waiting:,} bytes of a batch")
        time.sleep(ARRIVAL_POLL_S)


def _under_way(connection: socket.socket) -> int:
    """The bytes that were sent and whose arrival is not confirmed; 0 where the system does not say."""
    try:
        return int.from_bytes(fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except OSError:
        return 0


def _bound(connection: socket.socket, ends: float) -> None:
    if (left := ends - time.monotonic()) <= 0:
        raise TimeoutError
    connection.settimeout(left)


def _parameters(document: dict[str, Any]) -> str:
    """What a receiver can filter by without reading the JSON: structured data under a number for documentation."""
    names = ("leaf_index", "event_id", "writer", "event_outcome", "correlation_id")
    pairs = [(name, str(document[name])) for name in names if document.get(name) is not None]
    return f"[audit@32473 {' '.join(f'{name}={_quoted(value)}' for name, value in pairs)}]"


def _quoted(text: str) -> str:
    """A value as it may stand there, without control characters: some receivers cut a message at them."""
    shown = "".join(character if character.isprintable() else " " for character in text)
    return '"' + _ESCAPED.sub(r"\\\1", shown) + '"'


def _name(text: str, most: int) -> str:
    """A name as the header may have it: printable ASCII without spaces; - where nothing is left."""
    return _NOT_PRINTABLE.sub("_", text)[:most] or "-"
