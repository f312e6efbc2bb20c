"""One request: what httptools finds in the bytes of a connection, and the environ that Django gets."""

import sys
from typing import Any
from urllib.parse import unquote_to_bytes

import httptools

from auditsite.front import bounds
from auditsite.front.body import Body

_UNPREFIXED = {"CONTENT_TYPE", "CONTENT_LENGTH"}


class Refused(Exception):
    """The request breaks the protocol or a bound. `status` says how it is answered."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class Request:
    """Made when its first byte has come; complete when `is_complete`."""

    def __init__(self) -> None:
        self.url = b""
        self.headers: dict[str, str] = {}
        self.body = Body()
        self.method = ""
        self.version = "1.1"
        self.has_head = self.is_complete = self.may_go_on = self.keeps_alive = False
        # Its body is not to be read any further: the answer says why.
        self.is_cut_short = False
        self.length: int | None = None
        self.path = self.query = ""

    def add_header(self, name: bytes, value: bytes) -> None:
        """Keep a header. A name with `_` is dropped: for Django it would be the same as the one with `-`."""
        if b"_" in name:
            return
        key = name.decode("latin-1").upper().replace("-", "_")
        if key not in _UNPREFIXED:
            key = f"HTTP_{key}"
        text = value.decode("latin-1")
        if key in self.headers:
            if key == "HTTP_HOST":
                raise Refused(400, "The request has two Host headers.")
            text = self.headers[key] + ("; " if key == "HTTP_COOKIE" else ",") + text
        elif len(self.headers) >= bounds.HEADERS:
            raise Refused(431, f"The request has more than {bounds.HEADERS} headers.")
        self.headers[key] = text

    def end_head(self, method: str, version: str) -> None:
        """All headers have come. Raises `Refused`."""
        self.method, self.version, self.has_head = method, version, True
        if version == "1.1" and "HTTP_HOST" not in self.headers:
            raise Refused(400, "The request has no Host header.")
        url = self.url
        if not url.startswith(b"/"):
            try:
                parsed = httptools.parse_url(url)
            except httptools.HttpParserInvalidURLError:
                raise Refused(400, "The request's address cannot be read.") from None
            url = (parsed.path or b"/") + (b"?" + parsed.query if parsed.query else b"")
        path, _, query = url.partition(b"?")
        self.path = unquote_to_bytes(path.partition(b"#")[0]).decode("latin-1")
        self.query = query.partition(b"#")[0].decode("latin-1")
        if "HTTP_TRANSFER_ENCODING" not in self.headers:
            self.length = int(self.headers.get("CONTENT_LENGTH") or 0)

    @property
    def expects_to_be_told(self) -> bool:
        return self.headers.get("HTTP_EXPECT", "").lower() == "100-continue"

    def framing(self) -> bytes:
        """Return a head that frames the same body."""
        length = "Transfer-Encoding: chunked" if self.length is None else f"Content-Length: {self.length}"
        last = "close" if "close" in self.headers.get("HTTP_CONNECTION", "").lower() else "keep-alive"
        return f"{self.method} / HTTP/{self.version}\r\nHost: -\r\n{length}\r\nConnection: {last}\r\n\r\n".encode()

    def environ(self, server: tuple[str, int], client: str, body: Any) -> dict[str, Any]:
        """What WSGI hands to an application."""
        environ: dict[str, Any] = {
            "REQUEST_METHOD": self.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": self.path,
            "QUERY_STRING": self.query,
            "SERVER_NAME": server[0],
            "SERVER_PORT": str(server[1]),
            "SERVER_PROTOCOL": f"HTTP/{self.version}",
            "REMOTE_ADDR": client,
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": body,
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }
        environ |= self.headers
        if self.is_complete and not self.is_cut_short:
            environ["CONTENT_LENGTH"] = str(self.body.size)  # a chunked body has a length, too, now
        elif self.length is None:
            environ["CONTENT_LENGTH"] = str(max(self.body.size, 1))
        return environ
