"""One connection: reads requests, says what is to be done next, writes answers. Never waits for the other side."""

import errno
import socket
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from enum import Enum, auto

import httptools

from auditsite.front import bounds
from auditsite.front.answer import Answer
from auditsite.front.request import Refused, Request

USER_TIMEOUT_MS = 30_000
# Of a connection that is over. Others may be of the way to the client, and pass.
GONE = (errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Next(Enum):
    """What a connection waits for."""

    READ = auto()  # the client sends
    WRITE = auto()  # the client takes
    WORK = auto()  # a thread that may wait
    CLOSE = auto()  # nothing


class Connection:
    """Belongs to the thread that holds `lock`."""

    def __init__(self, sock: socket.socket, limit_bytes: int) -> None:
        """`limit_bytes` bounds a body."""
        sock.setblocking(False)
        self.lock = threading.Lock()
        self.sock = sock
        self.fd = sock.fileno()
        self.client, self.server = _address(sock.getpeername())[0], _address(sock.getsockname())
        self.requests: deque[Request] = deque()
        self.answer: Answer | None = None
        self._limit_bytes = limit_bytes
        self._parser = httptools.HttpRequestParser(self)
        self._request: Request | None = None
        self._refused: Refused | None = None
        self._is_last = self._lingers = self._is_retold = False
        self._lingered = self._sent_before = self._bare_bytes = 0
        self._waited_s = 0.0
        self._waits_for = Next.READ
        self._since = self._began = time.monotonic()
        self._is_new = True
        # It has work, and waits for a thread.
        self.is_queued = False
        _tune(sock)

    # --- Reading ------------------------------------------------------------------------

    def receive(self) -> Next:
        """Read what has come."""
        if self._lingers:
            return self._throw_away()
        while True:
            try:
                data = self.sock.recv(bounds.READ_BYTES)
            except BlockingIOError:
                return self._wait(Next.READ)
            except OSError:
                return Next.CLOSE
            if not data and not self._end():
                return Next.CLOSE
            if data:
                self._feed(data)
            if self.requests or self._refused or self._needs_leave:
                return Next.WORK

    def next_request(self) -> Request | None:
        """Return a request that is complete, or that is to be refused without its body; None if there is none yet."""
        if self.requests:
            return self.requests.popleft()
        request = self._request
        if request is not None and request.is_cut_short:
            self._request, self._is_last = None, True
            return request
        return None

    @property
    def refused(self) -> Refused | None:
        return self._refused

    @property
    def is_given_up(self) -> bool:
        """Whether the client reset the connection and only asked for something: what came to be kept is kept.

        Asked of what waited for a thread. Else the pages of those who hung up would be made before the others'. Who has
        only ended their side may still read.
        """
        first = self.requests[0] if self.requests else None
        asks = first is not None and first.method in ("GET", "HEAD")
        return asks and self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) in GONE

    @property
    def asks(self) -> Request | None:
        """A request whose body has not come yet, and which is to be let in, or not, before it is read."""
        return self._request if self._needs_leave else None

    def let_in(self) -> None:
        """The body of the request may come."""
        assert self._request is not None
        self._request.may_go_on = True
        if self._request.expects_to_be_told:
            with suppress(OSError):
                self.sock.send(_CONTINUE)

    def turn_away(self) -> None:
        """The body of the request is not read any further."""
        assert self._request is not None
        self._request.is_cut_short = True

    @property
    def _needs_leave(self) -> bool:
        request = self._request
        return request is not None and request.has_head and not (request.may_go_on and not request.is_cut_short)

    def _feed(self, data: bytes) -> None:
        before = self._request
        size = before.body.size if before else 0
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._stay()
            if rest := data[upgrade.args[0] :]:
                self._feed(rest)
        except httptools.HttpParserCallbackError:
            if self._refused is None and not (self._request and self._request.is_cut_short):
                raise
        except httptools.HttpParserError:
            self._refused = Refused(400, "This is not HTTP/1.1 as RFC 9112 has it.")
        # Neither a head, nor what stands between the parts of a chunked body and after it, may go on for ever.
        is_bare = self._request is not None and self._request is before and before.body.size == size
        self._bare_bytes = self._bare_bytes + len(data) if is_bare else 0
        if self._request is not None and not self._request.has_head and len(data) > bounds.HEAD_BYTES:
            self._bare_bytes = len(data)
        if self._bare_bytes > bounds.HEAD_BYTES:
            self._refused = Refused(431, f"The headers are longer than {bounds.HEAD_BYTES} bytes.")

    def _stay(self) -> None:
        """The client asked for another protocol. Nothing but HTTP/1.1 is spoken here, so it goes on with that.

        httptools drops the body of such a request: another parser reads it, told only how it is framed.
        """
        self._parser = httptools.HttpRequestParser(self)
        if self._request is not None:
            self._is_retold = True
            self._parser.feed_data(self._request.framing())
            self._is_retold = False

    def _end(self) -> bool:
        """The client sends no more; return whether there is anything to say to it."""
        if self._request is not None and self._request.has_head:
            self._refused = Refused(400, "The body ended before its length was reached: nothing of it was kept.")
        return self._refused is not None

    def on_message_begin(self) -> None:
        if self._is_retold:
            return
        self._request = Request()
        self._is_new = False
        self._began = time.monotonic()

    def on_url(self, url: bytes) -> None:
        assert self._request is not None
        if not self._is_retold:
            self._request.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        assert self._request is not None
        if not self._request.has_head:  # what trails a chunked body is nobody's
            self._judged(self._request.add_header, name, value)

    def on_headers_complete(self) -> None:
        request = self._request
        assert request is not None
        if self._is_retold:
            return
        version = self._parser.get_http_version()
        self._judged(request.end_head, self._parser.get_method().decode("ascii"), version)
        self._began = time.monotonic()
        self._bound(request, request.length or 0)

    def on_body(self, part: bytes) -> None:
        request = self._request
        assert request is not None
        request.body.add(part)
        self._bound(request, request.body.size)

    def on_message_complete(self) -> None:
        request = self._request
        assert request is not None
        if self._parser.should_upgrade() and request.length != 0:
            return
        request.is_complete = True
        request.keeps_alive = self._parser.should_keep_alive()
        self.requests.append(request)
        self._request = None

    def _bound(self, request: Request, size: int) -> None:
        if size > self._limit_bytes:
            request.is_cut_short = True
            raise Refused(413, "The body is too large.")  # the parser stops here; the application answers

    def _judged(self, judge: object, *arguments: object) -> None:
        try:
            judge(*arguments)  # type: ignore[operator]
        except Refused as refused:
            self._refused = refused
            raise

    # --- Writing ------------------------------------------------------------------------

    def begin(self, answer: Answer, request: Request | None, *, is_last: bool = False) -> None:
        """Answer a request; None: what could not be read as one. The answer says where it `is_last`.

        What was read already, before the answer, is answered as well.
        """
        is_last = is_last and not self.requests and self._request is None
        keeps = request is not None and request.keeps_alive and not (self._is_last or is_last) and self._refused is None
        answer.begin(keep_alive=keeps, version="1.1" if request is None else request.version)
        self._is_last = not answer.keeps_alive
        self.answer = answer
        self._waited_s, self._sent_before = 0.0, -1

    def send(self) -> Next:
        """Write as much as the client takes; afterwards there may be more to do."""
        answer = self.answer
        assert answer is not None
        if self._waits_for is Next.WRITE:
            self._waited_s += time.monotonic() - self._since
        try:
            is_sent = answer.send(self.sock)
        except OSError:
            return Next.CLOSE
        if not is_sent:
            if self._sent_before < 0:
                self._sent_before = answer.sent
            return self._wait(Next.WRITE)
        self.answer = None
        self._waits_for = Next.READ
        answer.close()
        if self._is_last:
            return self._linger()
        if self.requests or self._refused or self._needs_leave:
            return Next.WORK
        return self._wait(Next.READ)

    def _linger(self) -> Next:
        """Close as TCP wants it: what the client still sends is read, or it would lose the answer."""
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)
        self._lingers = True
        return self._throw_away()

    def _throw_away(self) -> Next:
        while self._lingered < bounds.LINGER_BYTES:
            try:
                data = self.sock.recv(bounds.READ_BYTES)
            except BlockingIOError:
                return self._wait(Next.READ)
            except OSError:
                return Next.CLOSE
            if not data:
                return Next.CLOSE
            self._lingered += len(data)
        return Next.CLOSE

    # --- Time ---------------------------------------------------------------------------

    def _wait(self, what: Next) -> Next:
        self._waits_for, self._since = what, time.monotonic()
        return what

    def overdue(self, now: float) -> Refused | None:
        """Return why the connection is to be ended: the other side took too long."""
        if self.is_queued:
            return None
        since = now - self._since
        if self._lingers:
            return Refused(0, "") if since > bounds.LINGER_S else None
        if self.answer is not None:
            taken = self.answer.sent - self._sent_before
            slow = self._waits_for is Next.WRITE and bounds.is_too_slow(taken, self._waited_s + since)
            return Refused(0, "") if slow else None
        request = self._request
        if request is None:
            return Refused(0, "") if since > (bounds.HEAD_S if self._is_new else bounds.IDLE_S) else None
        since = now - self._began
        if not request.has_head:
            detail = f"The headers did not come within {bounds.HEAD_S:.0f} s."
            return Refused(408, detail) if since > bounds.HEAD_S else None
        if bounds.is_too_slow(request.body.size, since):
            return Refused(
                408, f"The body came slower than {bounds.RATE_BYTES_PER_S} bytes a second: nothing was kept."
            )
        return None

    @property
    def is_idle(self) -> bool:
        return self.answer is None and not self.requests and (self._request is None or self._lingers)

    def close(self) -> None:
        """Free all that it holds."""
        if self.answer is not None:
            self.answer.close()
        for request in (*self.requests, *([self._request] if self._request else [])):
            request.body.close()
        self.sock.close()
        # Parser and connection refer to each other, and nobody should have to look for that.
        del self._parser


def _address(name: object) -> tuple[str, int]:
    """The address and the port of a socket's name."""
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) else ("", 0)


def _tune(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, bounds.SEND_BUFFER_BYTES)
        if sys.platform == "linux":
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
