"""Episodes: each time that events had to be parked, from the first of them until nothing was left to bring home.

The first park opens one (park.lua), whoever watches the queue closes it. Its figures are differences of the queue's
totals, so that they are exact however seldom somebody looks. The open one lives in Redis; `keep` gets the closed one.
"""

import json
import time
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from dlq.message import moment
from dlq.scripts import refusing
from dlq.stream import Stream

WHY = "why:"
"""What the counters of reasons are called in the hash of totals."""
TOTALS = ("enqueued", "drained", "duplicate", "quarantined", "discarded")


class Outage(NamedTuple):
    """One outage as the queue saw it."""

    began_at: datetime
    """The first event was parked."""
    up_at: datetime | None
    """From here on the database was up."""
    emptied_at: datetime | None
    """Nothing was left to be tried; None while it lasts."""
    reasons: dict[str, int]
    """How many events were parked, by reason."""
    parked: int
    stored: int
    """Brought to the store, those among them that were there already."""
    quarantined: int
    discarded: int
    left: int
    """More in the queue than when it began."""
    dead: int
    """Of those, how many more are dead."""
    deepest: int

    @property
    def lost(self) -> int:
        """What came, and is neither elsewhere nor here: 0, or something removed it from Redis."""
        return self.parked - self.stored - self.quarantined - self.discarded - self.left


def current(queue: Stream) -> Outage | None:
    """The open episode, if there is one. Raises `Refused`."""
    figures, base, state = _read(queue)
    return _outage(figures, base, state, None) if "since" in figures else None


def follow(queue: Stream, *, database_up: Callable[[], bool], keep: Callable[[Outage], None]) -> Outage | None:
    """Follow the open episode; once it is over, hand it to `keep` and return it. Raises `Refused`, and as `keep` does.

    `keep` may see one episode twice, by its `began_at`: after a crash, or when an event was parked meanwhile.
    """
    figures, base, state = _read(queue)
    if "since" not in figures:
        return None
    up = database_up()
    state = _follow(queue, figures, state, up)
    if not up or figures["ready"] + figures["leased"]:
        return None
    closed = _outage(figures, base, state, _now())
    keep(closed)
    return closed if _close(queue, figures) else None


def reasons(queue: Stream) -> dict[str, int]:
    """How many events were ever parked, by reason. Raises `Refused`."""
    return _reasons(_read(queue)[0])


Figures = dict[str, int]


def _read(queue: Stream) -> tuple[Figures, Figures, dict[str, str]]:
    """What is now, what was when the last episode ended, and what was seen of the open one."""
    figures = queue.totals()
    with refusing():
        seen = queue.redis.hgetall(_key(queue))
    state = {name.decode(): value.decode() for name, value in seen.items()}
    return figures, json.loads(state.get("base", "{}")), state


def _follow(queue: Stream, figures: Figures, state: dict[str, str], up: bool) -> dict[str, str]:
    """Note how deep it was, and since when the database is up."""
    deepest = max(figures["depth"], int(state.get("deepest", 0)))
    found = state | {"deepest": str(deepest)}
    if up:
        found.setdefault("up", str(int(time.time() * 1000)))
    else:
        found.pop("up", None)
    if found != state:
        queue.put(_key(queue), "deepest", deepest, "up", found.get("up", ""))
    return found


def _close(queue: Stream, figures: Figures) -> bool:
    """Begin the next account here, unless something was parked meanwhile: then the episode goes on."""
    base = {name: value for name, value in figures.items() if name != "since"}
    came = figures.get("enqueued", 0)
    return bool(queue.run("close", [queue.stats_key, _key(queue)], [came, json.dumps(base)]))


def _outage(figures: Figures, base: Figures, state: dict[str, str], emptied_at: datetime | None) -> Outage:
    more = {name: figures.get(name, 0) - base.get(name, 0) for name in (*TOTALS, "depth", "dead")}
    before = _reasons(base)
    up = state.get("up")
    return Outage(
        began_at=moment(figures["since"]),
        up_at=moment(int(up)) if up else None,
        emptied_at=emptied_at,
        reasons={
            why: count - before.get(why, 0) for why, count in _reasons(figures).items() if count > before.get(why, 0)
        },
        parked=more["enqueued"],
        stored=more["drained"] + more["duplicate"],
        quarantined=more["quarantined"],
        discarded=more["discarded"],
        left=more["depth"],
        dead=more["dead"],
        deepest=int(state.get("deepest", 0)),
    )


def _reasons(figures: Figures) -> dict[str, int]:
    return {name.removeprefix(WHY): count for name, count in figures.items() if name.startswith(WHY)}


def _key(queue: Stream) -> str:
    return f"{queue.stream}:episode"


def _now() -> datetime:
    return moment(time.time() * 1000)
