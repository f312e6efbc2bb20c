"""Deep search: look into every parked payload for a text, a second at a time, with the progress in sight."""

import time
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest

import dlq.stream
from audit.admin.display import number
from audit.queue import visible
from dlq.message import Message, is_stream_id

STEP_S = 1.0
MOST = 50
"""How many are shown; the search stops there and goes on when asked."""
CHUNK = 1_000


def step(request: HttpRequest) -> tuple[list[Message], dict[str, Any], str]:
    """Look for a second; return what was found so far, how far it is, and the address of the next step.

    The address carries all there is to know: where it stands, and the stream ids of what was found.
    """
    asked = request.GET
    text, at = asked.get("text", "").strip(), asked.get("at", "")
    found = [one for one in asked.get("found", "").split(",") if is_stream_id(one)][:MOST]
    looked = max(number(asked.get("looked", "")), 0)
    queue = dlq.stream.for_drain()
    done = not text
    if text:
        needle, start = text.encode(errors="replace"), at if is_stream_id(at) else ""
        at, more, count, done = _look(queue, needle, start, MOST - len(found))
        found, looked = found + more, looked + count
    depth = queue.totals.depth()
    progress = {"text": text, "looked": min(looked, depth) if not done else depth, "depth": depth, "done": done}
    full = len(found) >= MOST
    next_step = urlencode({"text": text, "at": at, "looked": looked, "found": "" if full else ",".join(found)})
    return queue.pages.get_all(found), progress | {"full": full}, "" if done else next_step


def _look(queue: dlq.stream.Stream, text: bytes, at: str, room: int) -> tuple[str, list[str], int, bool]:
    """Read on from a place for a second: where it stands then, ids that match, how many were read, whether all were."""
    ends, count = time.monotonic() + STEP_S, 0
    found: list[str] = []
    for rows in queue.pages.entries(chunk=CHUNK, after=at or None):
        for message_id, fields in rows:
            at, count = message_id, count + 1
            if text in (body := fields.get(b"body", b"")) and _may_see(fields, body):
                found.append(message_id)
                if len(found) >= room:
                    return at, found, count, False
        if time.monotonic() > ends:
            return at, found, count, False
    return at, found, count, True


def _may_see(fields: dict[bytes, bytes], body: bytes) -> bool:
    """What is found stands in the address of the next step: for others, that it was found is told already."""
    return visible.may_see_entry(fields.get(b"source", b"").decode(errors="replace"), body)
