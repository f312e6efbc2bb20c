"""A file over HTTP, or the part of it that is asked for: a download that was cut off goes on where it stopped."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse

PART = 1 << 18
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})\Z", re.ASCII)


class Piece(NamedTuple):
    """Some bytes of a file, with the name under which they are sent and what tells them from any others."""

    path: Path
    name: str
    offset: int
    length: int
    tag: str


def response(request: HttpRequest, piece: Piece) -> StreamingHttpResponse | HttpResponse:
    """200 with all of it, 206 with the one range that is asked for, 416 where that lies outside."""
    first, last = 0, piece.length - 1
    asked = _asked(request, piece)
    if asked is not None:
        first, last = asked
        if not first <= last:
            return HttpResponse(status=416, headers={"Content-Range": f"bytes */{piece.length}"})
    found = StreamingHttpResponse(
        _read(piece, first, last), status=200 if asked is None else 206, content_type="application/octet-stream"
    )
    found["Content-Length"] = str(last - first + 1)
    found["Content-Disposition"] = f'attachment; filename="{Path(piece.name).name}"'
    found["Accept-Ranges"] = "bytes"
    found["ETag"] = f'"{piece.tag}"'
    if asked is not None:
        found["Content-Range"] = f"bytes {first}-{last}/{piece.length}"
    return found


def _asked(request: HttpRequest, piece: Piece) -> tuple[int, int] | None:
    """The first and the last byte of the range; None for all, as it is for several ranges or of another version."""
    if request.headers.get("If-Range", f'"{piece.tag}"') != f'"{piece.tag}"':
        return None
    match = _RANGE.match(request.headers.get("Range", ""))
    if match is None or not any(match.groups()):
        return None
    if not match[1]:
        return max(piece.length - int(match[2]), 0), piece.length - 1 if int(match[2]) else -1
    last = min(int(match[2]), piece.length - 1) if match[2] else piece.length - 1
    return int(match[1]), last


def _read(piece: Piece, first: int, last: int) -> Iterator[bytes]:
    with piece.path.open("rb") as file:
        file.seek(piece.offset + first)
        left = last - first + 1
        while left and (part := file.read(min(PART, left))):
            left -= len(part)
            yield part
