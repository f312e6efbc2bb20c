"""Count how many parked events an act would meet, a second at a time, with the progress in sight."""

import time
from dataclasses import dataclass

from django.http import HttpRequest

import dlq.stream
from audit import visibility
from audit.admin.display import number
from audit.queue.actions import CAP
from audit.queue.visible import may_see
from dlq.message import is_stream_id
from dlq.selection import Selection

STEP_S = 1.0
LOOKS = 5_000


@dataclass(frozen=True)
class Counted:
    """How many match so far, of how many looked at, and the place to go on from; "" when all is counted."""

    matched: int
    looked: int
    depth: int
    at: str

    @property
    def done(self) -> bool:
        """Whether all is counted."""
        return not self.at

    @property
    def taken(self) -> int:
        """How many of them one act takes."""
        return min(self.matched, CAP)

    @property
    def onward(self) -> dict[str, str | int]:
        """What the next step has to know, for its address."""
        return {"matched": self.matched, "looked": self.looked, "at": self.at}


def step(request: HttpRequest, selection: Selection) -> Counted:
    """Count for a second from the place in the address. What one number tells is not looked at. Raises `Refused`."""
    queue = dlq.stream.for_drain()
    depth = queue.totals.depth()
    if not selection.is_narrow and selection.since is None and not visibility.sight():
        return Counted(selection.size(queue), depth, depth, "")
    matched, looked = (max(number(request.GET.get(name, "")), 0) for name in ("matched", "looked"))
    place = request.GET.get("at", "")
    at = place if is_stream_id(place) else None
    ends = time.monotonic() + STEP_S
    while True:
        found, at = selection.some(queue, limit=LOOKS, after=at, looks=LOOKS)
        matched, looked = matched + sum(map(may_see, found)), looked + LOOKS
        if at is None or time.monotonic() > ends:
            return Counted(matched, min(looked, depth) if at else depth, depth, at or "")
