"""An answer: from what Django returns to bytes on the wire, as fast as the reader takes them and no faster."""

import tempfile
import time
from collections.abc import Iterator
from email.utils import formatdate
from http import HTTPStatus
from socket import socket
from typing import IO, Any

from auditsite.front import bounds
from auditsite.front.request import Request

_NO_BODY = (204, 304)
_REASONS = {status.value: status.phrase for status in HTTPStatus}


class Answer:
    """Bytes to be sent: a first part in memory, the rest from a file or from Django's stream."""

    def __init__(self, request: Request, status: int, headers: list[tuple[str, str]], content: Any) -> None:
        """`content` is all of the body, or an iterable of it with a `close`, which is Django's streaming response."""
        self.keeps_alive = True
        self._content = content
        self._stream: Iterator[bytes] | None = None
        self._file: IO[bytes] | None = None
        self._is_chunked = False
        self.sent = 0
        names = {name.lower() for name, _ in headers}
        is_whole = isinstance(content, bytes)
        has_body = request.method != "HEAD" and status not in _NO_BODY
        if is_whole and "content-length" not in names and status not in _NO_BODY:
            headers = [*headers, ("Content-Length", str(len(content)))]
        elif not is_whole and "content-length" not in names and has_body:
            self._is_chunked = request.version == "1.1"
            self.keeps_alive = self._is_chunked
        self._lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}", f"Date: {_date()}"]
        self._lines += [f"{name}: {value}" for name, value in headers]
        if self._is_chunked:
            self._lines.append("Transfer-Encoding: chunked")
        self._first = content if is_whole and has_body else b""
        if not is_whole and has_body:
            self._stream = iter(content)
        self._left = memoryview(b"")

    def begin(self, *, keep_alive: bool, version: str) -> None:
        """Write the head, now that it is known what becomes of the connection."""
        self.keeps_alive = self.keeps_alive and keep_alive
        if not self.keeps_alive:
            self._lines.append("Connection: close")
        elif version == "1.0":
            self._lines.append("Connection: keep-alive")
        head = "\r\n".join(self._lines).encode("latin-1", "replace") + b"\r\n\r\n"
        self._left = memoryview(head + self._first)
        self._first = b""

    def send(self, to: socket) -> bool:
        """Send what the reader takes without waiting; return whether all of it is sent. Raises `OSError`."""
        turn = 0
        while turn < bounds.TURN_BYTES:
            if not self._left and not self._next():
                return True
            try:
                count = to.send(self._left)
            except BlockingIOError:
                self._put_away()
                return False
            self._left = self._left[count:]
            self.sent += count
            turn += count
        return False

    def close(self) -> None:
        """Tell Django that the answer is over, and free what it held."""
        self._left = memoryview(b"")
        if self._file is not None:
            self._file.close()
        if not isinstance(self._content, bytes):
            self._content.close()
        self._content = b""

    def _next(self) -> bool:
        """Take the next part; return whether there is one."""
        if self._file is not None:
            self._left = memoryview(self._file.read(bounds.READ_BYTES))
            return bool(self._left)
        if self._stream is None:
            return False
        part = next(filter(None, self._stream), None)
        if part is None:
            self._stream = None
            self._left = memoryview(b"0\r\n\r\n" if self._is_chunked else b"")
            return self._is_chunked
        self._left = memoryview(b"%x\r\n%b\r\n" % (len(part), part) if self._is_chunked else part)
        return True

    def _put_away(self) -> None:
        """A long rest waits in a file."""
        if self._file is None and self._stream is None and len(self._left) > bounds.MEMORY_BYTES:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the answer)
            self._file.write(self._left)
            self._file.seek(0)
            self._left = memoryview(b"")
            self._content = b""


def _date() -> str:
    """The time as HTTP has it, made once a second."""
    now = int(time.time())
    if _made[0] != now:
        _made[:] = now, formatdate(now, usegmt=True)
    return str(_made[1])


_made: list[Any] = [0, ""]
