"""Count how many parked events an act would meet, one second per request, and show the progress."""

import time
from dataclasses import dataclass

from django.http import HttpRequest

import dlq.stream
from audit.admin.display import number
from audit.queue.actions import MESSAGES_PER_ACT
from dlq.message import is_stream_id
from dlq.selection import Selection

STEP_S = 1.0
MESSAGES_PER_READ = 5_000


@dataclass(frozen=True)
class MatchCount:
    """How many messages match so far, of how many looked at, and the id to go on after; "" when all are counted."""

    matched: int
    looked: int
    depth: int
    at: str

    @property
    def done(self) -> bool:
        return not self.at

    @property
    def taken(self) -> int:
        """How many of the matches one act takes."""
        return min(self.matched, MESSAGES_PER_ACT)

    @property
    def onward(self) -> dict[str, str | int]:
        """Query parameters of the next step."""
        return {"matched": self.matched, "looked": self.looked, "at": self.at}


def step(request: HttpRequest, selection: Selection) -> MatchCount:
    """Count for a second, from the id in the address; at once where an index has the number. Raises `Refused`."""
    queue = dlq.stream.for_drain()
    depth = queue.totals.depth()
    if not selection.is_narrow and selection.since is None:
        return MatchCount(selection.size(queue), depth, depth, "")
    matched, looked = (max(number(request.GET.get(name, "")), 0) for name in ("matched", "looked"))
    after = request.GET.get("at", "")
    at = after if is_stream_id(after) else None
    ends = time.monotonic() + STEP_S
    while True:
        messages, at = selection.some(queue, limit=MESSAGES_PER_READ, after=at, looks=MESSAGES_PER_READ)
        matched, looked = matched + len(messages), looked + MESSAGES_PER_READ
        if at is None or time.monotonic() > ends:
            return MatchCount(matched, min(looked, depth) if at else depth, depth, at or "")
