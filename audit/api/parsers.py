"""How bodies are read."""

import zlib
from typing import IO, Any, cast

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.parsers import BaseParser

from audit.errors import Invalid
from audit.formats import canonical

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# zlib reads the header and the end of gzip by itself, where it is told so.
GZIP_WINDOW = 16 + zlib.MAX_WBITS
TAKEN = "gzip"


class UnsupportedEncoding(UnsupportedMediaType):
    """The body is encoded in a way that is not read here."""

    def __init__(self, encoding: str):
        super().__init__(
            "", f"The content encoding {encoding[:100]!r} is not read here: send the JSON plain, or in gzip, once."
        )


class RawJSONParser(BaseParser):
    """JSON read strictly: what could not come back equal is refused here, or with the event that it is in."""

    media_type = "application/json"

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None) -> Any:
        try:
            body = text_of(cast(HttpRequest, stream))
            if getattr(parser_context["view"], "takes_events", False):
                return _read(body)
            return canonical.loads(body)
        except canonical.NotCanonical as error:
            raise Invalid(error.faults) from None


def _read(body: bytes) -> Any:
    try:
        return canonical.read(body)
    except canonical.NotCanonical as error:
        # What is no JSON is an event all the same: it is counted, and kept where its writer has it so.
        return canonical.Unreadable(error.faults, "")


def text_of(request: HttpRequest) -> bytes:
    """Return the body as it was before it was compressed, without a mark of its byte order.

    Raises `RequestDataTooBig` where it is over the limit, as sent or as it comes out; `UnsupportedEncoding`, `Invalid`.
    """
    body: bytes | None = getattr(request, "_text", None)
    if body is None:
        # `body` rather than `read()`: Django refuses it when it is over the limit.
        body = _decoded(request.body, str(request.META.get("HTTP_CONTENT_ENCODING", "")))
        body = body.removeprefix(BYTE_ORDER_MARK)
        request._text = body  # type: ignore[attr-defined]
    return body


def _decoded(body: bytes, encodings: str) -> bytes:
    names = [name for text in encodings.split(",") if (name := text.strip().lower()) not in ("", "identity")]
    if not names:
        return body
    if names not in (["gzip"], ["x-gzip"]):
        raise UnsupportedEncoding(encodings)
    try:
        return unzipped(body)
    except zlib.error:
        raise Invalid({"": "the body is not gzip, which its Content-Encoding says that it is"}) from None


def unzipped(body: bytes) -> bytes:
    """Return what is in one or more members of gzip. Raises `RequestDataTooBig`, `Invalid`, `zlib.error`."""
    most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    parts: list[bytes] = []
    size = 0
    while True:
        member = zlib.decompressobj(GZIP_WINDOW)
        parts.append(member.decompress(body, most - size + 1))
        if (size := size + len(parts[-1])) > most:
            raise RequestDataTooBig
        if not member.eof:
            raise Invalid({"": "the gzip of the body ends before its end: send it whole"})
        if not (body := member.unused_data):
            return b"".join(parts)
