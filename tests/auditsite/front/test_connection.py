"""What a client may take, looked at on real sockets without waiting: the time is told to whoever judges it."""

import gc
import socket
import struct
import time
import weakref
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIRequest

from audit.access import client
from audit.api.auth import key_of
from auditsite.front import bounds
from auditsite.front.answer import Answer
from auditsite.front.connection import Connection, Next
from auditsite.front.request import Request

LIMIT_BYTES = 1_000_000
HEAD = b"POST /api/v1/audit/events HTTP/1.1\r\nHost: localhost\r\n"


class Pair:
    """A client's end of a socket, and the connection at the other."""

    def __init__(self) -> None:
        self.client, server = socket.socketpair()
        self.client.settimeout(5)
        self.connection = Connection(server, LIMIT_BYTES)

    def send(self, data: bytes) -> Next:
        self.client.sendall(data)
        return self.connection.receive()

    def request(self, data: bytes) -> Request:
        assert self.send(data) is Next.WORK
        request = self.connection.next_request()
        assert request is not None
        return request

    def status(self, data: bytes) -> int:
        """Of the refusal."""
        assert self.send(data) is Next.WORK
        assert self.connection.refused is not None
        return self.connection.refused.status

    def status_after(self, seconds: float) -> int | None:
        refused = self.connection.overdue(time.monotonic() + seconds)
        return None if refused is None else refused.status


def hung_up_after(data: bytes) -> Connection:
    """What a connection has read whose client is gone since, and takes no answer any more."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
        client.connect(listener.getsockname())
        connection = Connection(listener.accept()[0], LIMIT_BYTES)
        client.sendall(data)
        assert connection.receive() is Next.WORK
        assert not connection.is_given_up
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return connection


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.client.close()
    pair.connection.close()


def test_nobody_waits_for_a_page_whose_client_has_gone_but_an_event_is_kept_all_the_same() -> None:
    page = hung_up_after(b"GET /admin/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
    event = hung_up_after(HEAD + b"Content-Length: 0\r\n\r\n")
    assert page.is_given_up and not event.is_given_up
    page.close()
    event.close()


def test_headers_that_drip_are_refused_after_their_time_however_often_a_byte_comes(pair: Pair) -> None:
    for byte in (HEAD[:1], HEAD[1:2], HEAD[2:3]):
        assert pair.send(byte) is Next.READ
    assert pair.status_after(bounds.HEAD_S - 1) is None
    assert pair.status_after(bounds.HEAD_S + 1) == 408


def test_who_says_nothing_is_closed_without_an_answer(pair: Pair) -> None:
    assert pair.status_after(bounds.HEAD_S - 1) is None
    assert pair.status_after(bounds.HEAD_S + 1) == 0


@pytest.mark.parametrize(
    "headers",
    [b"A: %b\r\n" % (b"x" * bounds.HEAD_BYTES), b"".join(b"A%d: x\r\n" % n for n in range(bounds.HEADERS + 1))],
    ids=["long", "many"],
)
def test_headers_beyond_their_bound_are_refused(pair: Pair, headers: bytes) -> None:
    assert pair.status(HEAD + headers) == 431


def test_what_trails_a_body_is_bounded_too(pair: Pair) -> None:
    request = HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"
    assert pair.send(request) is Next.WORK
    pair.connection.let_in()
    assert pair.status(b"0\r\nA: " + b"x" * bounds.HEAD_BYTES) == 431


def test_a_body_is_asked_for_by_its_headers_before_it_is_read(pair: Pair) -> None:
    assert pair.send(HEAD + b"Content-Length: 20\r\nExpect: 100-continue\r\n\r\n") is Next.WORK
    assert pair.connection.next_request() is None
    assert pair.connection.asks is not None
    pair.connection.let_in()
    assert pair.client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert pair.request(b"x" * 20).body.open().read() == b"x" * 20


def test_a_body_may_be_slow_but_not_slower_than_the_least_rate(pair: Pair) -> None:
    assert pair.send(HEAD + b"Content-Length: 900000\r\n\r\n") is Next.WORK
    pair.connection.let_in()
    pair.send(b"x" * 20 * bounds.RATE_BYTES_PER_S)
    assert pair.status_after(bounds.GRACE_S + 19) is None
    assert pair.status_after(bounds.GRACE_S + 21) == 408


def test_a_body_that_ends_before_its_length_is_refused(pair: Pair) -> None:
    assert pair.send(HEAD + b"Content-Length: 20\r\n\r\n") is Next.WORK
    pair.connection.let_in()
    pair.client.sendall(b"{}")
    pair.client.shutdown(socket.SHUT_WR)
    assert pair.connection.receive() is Next.WORK
    assert pair.connection.next_request() is None
    assert pair.connection.refused is not None
    assert pair.connection.refused.status == 400


def test_a_body_above_the_limit_is_not_read_whether_its_length_was_said_or_not(pair: Pair) -> None:
    request = pair.request(HEAD + b"Content-Length: %d\r\n\r\n" % (LIMIT_BYTES + 1))
    assert request.is_cut_short
    other = Pair()
    assert other.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % (2 * LIMIT_BYTES)) is Next.WORK
    other.connection.let_in()
    while (what := other.send(b"x" * 100_000)) is Next.READ:
        pass
    cut = other.connection.next_request()
    assert what is Next.WORK
    assert cut is not None
    assert cut.is_cut_short
    cut.body.close()
    assert LIMIT_BYTES < int(cut.environ(("", 0), "", None)["CONTENT_LENGTH"]) < 2 * LIMIT_BYTES
    other.client.close()
    other.connection.close()


def test_a_chunked_body_is_read_like_any_other(pair: Pair) -> None:
    request = pair.request(HEAD + b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n2\r\n1}\r\n0\r\n\r\n')
    environ = request.environ(("localhost", 80), "203.0.113.1", request.body.open())
    assert environ["CONTENT_LENGTH"] == "7"
    assert WSGIRequest(environ).body == b'{"a":1}'


def test_a_long_body_waits_in_a_file(pair: Pair) -> None:
    body = bytes(range(256)) * 2_000
    assert pair.send(HEAD + b"Content-Length: %d\r\n\r\n" % len(body)) is Next.WORK
    pair.connection.let_in()
    for start in range(0, len(body), 64_000):
        pair.send(body[start : start + 64_000])
    request = pair.connection.next_request()
    assert request is not None
    assert request.body.open().fileno() > 0
    assert request.body.open().read() == body
    request.body.close()


def test_names_with_underscores_are_dropped(pair: Pair, settings: Any) -> None:
    settings.PROXY_HOPS = 1
    forged = b"X_Forwarded_For: 6.6.6.6\r\nX_API_Key: aw_1\r\nX_Forwarded-Proto: https\r\n"
    forged = b"X-Forwarded-For: 203.0.113.9\r\n" + forged + b"\r\n"
    request = WSGIRequest(pair.request(HEAD + forged).environ(("localhost", 80), "192.0.2.1", BytesIO()))
    assert client.address(request) == "203.0.113.9"
    assert key_of(request) == ""
    assert not request.is_secure()


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
        b"\x16\x03\x01\x00\x05hello\r\n\r\n",
    ],
    ids=["no host", "two hosts", "two lengths", "lengths that differ", "folded", "TLS"],
)
def test_what_is_not_http_is_refused(pair: Pair, data: bytes) -> None:
    assert pair.status(data) == 400


def test_requests_that_come_together_are_answered_in_turn(pair: Pair) -> None:
    first = pair.request(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    pair.connection.begin(Answer(first, 200, [], b"1"), first)
    assert pair.connection.send() is Next.WORK
    second = pair.connection.next_request()
    assert second is not None
    assert (first.path, second.path) == ("/a", "/b")
    pair.connection.begin(Answer(second, 200, [], b"2"), second)
    assert pair.connection.send() is Next.READ  # what the client still says is thrown away, until it is tired
    assert pair.client.recv(1000).count(b"200 OK") == 2


def test_a_client_that_asks_for_another_protocol_is_answered_in_this_one(pair: Pair) -> None:
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    assert pair.request(HEAD + upgrade + b"Content-Length: 2\r\n\r\n{}").body.open().read() == b"{}"
    assert pair.request(HEAD + b"Content-Length: 1\r\n\r\n1").body.open().read() == b"1"


def test_a_long_answer_waits_for_its_reader_in_a_file_and_is_cut_off_when_nobody_takes_it(pair: Pair) -> None:
    content = bytes(range(256)) * 20_000
    request = pair.request(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    answer = Answer(request, 200, [], content)
    pair.connection.begin(answer, request)
    assert pair.connection.send() is Next.WRITE
    assert len(answer._left) == 0
    assert pair.status_after(bounds.GRACE_S - 1) is None
    assert pair.status_after(bounds.GRACE_S + 1) == 0
    received = b""
    while True:
        received += pair.client.recv(1 << 20)
        if pair.connection.answer is None or pair.connection.send() is Next.READ:
            break
    pair.client.settimeout(0.05)
    while len(received.partition(b"\r\n\r\n")[2]) < len(content):
        received += pair.client.recv(1 << 20)
    assert received.endswith(content)


def test_a_connection_that_is_closed_waits_for_no_collector_of_garbage() -> None:
    pair = Pair()
    pair.request(HEAD + b"Content-Length: 2\r\n\r\n{}")
    closed = weakref.ref(pair.connection)
    gc.disable()
    try:
        pair.connection.close()
        del pair.connection
        assert closed() is None
    finally:
        gc.enable()
        pair.client.close()
