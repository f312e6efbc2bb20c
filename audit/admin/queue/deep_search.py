"""Deep search: look for a text in every parked payload, one second per request, and show the progress."""

import time
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest

import dlq.stream
from audit.admin.display import number
from audit.queue import visible
from dlq.message import Message, is_stream_id

STEP_S = 1.0
# The search stops at this many matches and goes on when asked.
MATCHES_SHOWN = 50
ENTRIES_PER_READ = 1_000


def step(request: HttpRequest) -> tuple[list[Message], dict[str, Any], str]:
    """Search for a second; return the matches so far, the progress, and the query of the next step ("" when done).

    The address carries the whole state: the text, the id to go on after, and the ids of the matches.
    """
    parameters = request.GET
    text, at = parameters.get("text", "").strip(), parameters.get("at", "")
    ids = [part for part in parameters.get("found", "").split(",") if is_stream_id(part)][:MATCHES_SHOWN]
    looked = max(number(parameters.get("looked", "")), 0)
    queue = dlq.stream.for_drain()
    done = not text
    if text:
        needle, start = text.encode(errors="replace"), at if is_stream_id(at) else ""
        at, more, count, done = _search(queue, needle, start, MATCHES_SHOWN - len(ids))
        ids, looked = ids + more, looked + count
    depth = queue.totals.depth()
    progress = {"text": text, "looked": min(looked, depth) if not done else depth, "depth": depth, "done": done}
    full = len(ids) >= MATCHES_SHOWN
    next_step = urlencode({"text": text, "at": at, "looked": looked, "found": "" if full else ",".join(ids)})
    return queue.pages.get_all(ids), progress | {"full": full}, "" if done else next_step


def _search(queue: dlq.stream.Stream, text: bytes, at: str, room: int) -> tuple[str, list[str], int, bool]:
    """Read on for a second; return the last id read, ids that match, how many were read, and whether all were."""
    ends, count = time.monotonic() + STEP_S, 0
    ids: list[str] = []
    for rows in queue.pages.entries(chunk=ENTRIES_PER_READ, after=at or None):
        for message_id, fields in rows:
            at, count = message_id, count + 1
            if text in (body := fields.get(b"body", b"")) and _may_see(fields, body):
                ids.append(message_id)
                if len(ids) >= room:
                    return at, ids, count, False
        if time.monotonic() > ends:
            return at, ids, count, False
    return at, ids, count, True


def _may_see(fields: dict[bytes, bytes], body: bytes) -> bool:
    """Asked before the id goes into the address: that an event matched is told already by that."""
    return visible.may_see_entry(fields.get(b"source", b"").decode(errors="replace"), body)
