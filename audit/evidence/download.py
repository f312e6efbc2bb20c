"""download: a file over HTTP, or the byte range of it that is asked for, so that a download can be resumed."""

import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import NamedTuple

from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse

from audit.postgres.portions import PORTION_BYTES

BYTES_PER_READ = 1 << 18
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})\Z", re.ASCII)


class FileSlice(NamedTuple):
    """Some bytes of a file, with the name that they are sent under."""

    path: Path
    name: str
    offset: int
    length: int
    etag: str


def spooled(parts: Iterable[bytes], content_type: str) -> HttpResponse | FileResponse:
    """Answer with what is made a part at a time; it waits on the disk where it is long."""
    with ExitStack() as unless_sent:
        body = unless_sent.enter_context(SpooledTemporaryFile(PORTION_BYTES))
        for part in parts:
            body.write(part)
        length = body.tell()
        body.seek(0)
        if length <= PORTION_BYTES:
            return HttpResponse(body.read(), content_type=content_type)
        unless_sent.pop_all()
        return FileResponse(body, content_type=content_type)


def response(request: HttpRequest, part: FileSlice) -> StreamingHttpResponse | HttpResponse:
    """200 with the whole slice, 206 with the one range that is asked for, 416 where that lies outside."""
    first, last, status = 0, part.length - 1, 200
    if (asked := _asked_range(request, part)) is not None:
        (first, last), status = asked, 206
        if not first <= last:
            return HttpResponse(status=416, headers={"Content-Range": f"bytes */{part.length}"})
    headers = {
        "Content-Length": str(last - first + 1),
        "Content-Disposition": f'attachment; filename="{Path(part.name).name}"',
        "Accept-Ranges": "bytes",
        "ETag": f'"{part.etag}"',
    }
    if status == 206:
        headers["Content-Range"] = f"bytes {first}-{last}/{part.length}"
    body = _read(part, first, last)
    return StreamingHttpResponse(body, status=status, content_type="application/octet-stream", headers=headers)


def _asked_range(request: HttpRequest, part: FileSlice) -> tuple[int, int] | None:
    """The first and the last byte; None for the whole slice, also where several ranges or another version are asked."""
    if request.headers.get("If-Range", f'"{part.etag}"') != f'"{part.etag}"':
        return None
    match = _RANGE.match(request.headers.get("Range", ""))
    if match is None or not any(match.groups()):
        return None
    if not match[1]:
        return max(part.length - int(match[2]), 0), part.length - 1 if int(match[2]) else -1
    last = min(int(match[2]), part.length - 1) if match[2] else part.length - 1
    return int(match[1]), last


def _read(part: FileSlice, first: int, last: int) -> Iterator[bytes]:
    with part.path.open("rb") as file:
        file.seek(part.offset + first)
        left = last - first + 1
        while left and (chunk := file.read(min(BYTES_PER_READ, left))):
            left -= len(chunk)
            yield chunk
