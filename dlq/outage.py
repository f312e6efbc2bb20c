"""Follow outages: each lasts from the first document that had to be parked until nothing is left to bring home.

The first park opens an outage (park.lua); whoever watches the queue closes it. Its figures are differences of the
totals of the queue, so that they are exact however seldom somebody looks. The open outage lives in Redis; `keep` gets
the closed one.
"""

import json
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from dlq.message import moment
from dlq.scripts import refusing
from dlq.stream import Stream

# The counters of reasons in the hash of totals begin with this.
REASON_PREFIX = "why:"
TOTALS = ("enqueued", "drained", "duplicate", "quarantined", "discarded")

Figures = dict[str, int]


class QueueOutage(NamedTuple):
    """One outage as the queue saw it."""

    # When the first event was parked.
    began_at: datetime
    # Since when the database is up again.
    up_at: datetime | None
    # When nothing was left to be tried; None while the outage lasts.
    emptied_at: datetime | None
    # How many events were parked, by reason.
    reasons: dict[str, int]
    parked: int
    # Brought to the store, with those that were there already.
    stored: int
    quarantined: int
    discarded: int
    # How many more are in the queue than when it began, and how many more of them are dead.
    left: int
    dead: int
    deepest: int
    # From the first park to the last one, or to the last time that the database was seen to be down.
    lasted_s: float

    @property
    def lost(self) -> int:
        """What came, and is neither elsewhere nor here: 0, or something removed it from Redis."""
        return self.parked - self.stored - self.quarantined - self.discarded - self.left


class Blips(NamedTuple):
    """Short times in which events were parked though nothing was wrong for long."""

    number: int
    events: int
    last_at: datetime | None


def current(queue: Stream) -> QueueOutage | None:
    """Return the open outage, if there is one. Raises `Refused`."""
    figures, base, state = _read(queue)
    return _outage(figures, base, state, None) if "since" in figures else None


def follow(
    queue: Stream, *, database_up: Callable[[], bool], keep: Callable[[QueueOutage], None]
) -> QueueOutage | None:
    """Follow the open outage; once it is over, hand it to `keep` and return it. Raises `Refused`, and as `keep` does.

    `keep` may see one outage twice, by its `began_at`: after a crash, or when an event was parked meanwhile.
    """
    figures, base, state = _read(queue)
    if "since" not in figures:
        return None
    up = database_up()
    state = _note(queue, figures, state, up)
    if not up or figures["ready"] + figures["leased"]:
        return None
    closed = _outage(figures, base, state, moment(queue.now_ms()))
    keep(closed)
    return closed if _close(queue, figures) else None


def count_blip(queue: Stream, closed: QueueOutage) -> None:
    """Count an outage that was too short and too small to be one. Raises `Refused`."""
    with refusing():
        queue.redis.hincrby(queue.keys.blips, "blips", 1)
        queue.redis.hincrby(queue.keys.blips, "events", closed.parked)
    queue.put(queue.keys.blips, "last", int(closed.began_at.timestamp() * 1000))


def blips(queue: Stream) -> Blips:
    """Return what was counted of blips. Raises `Refused`."""
    with refusing():
        fields = {name.decode(): int(value) for name, value in queue.redis.hgetall(queue.keys.blips).items()}
    last = fields.get("last")
    return Blips(fields.get("blips", 0), fields.get("events", 0), moment(last) if last else None)


def reasons(queue: Stream) -> dict[str, int]:
    """Return how many events were ever parked, by reason. Raises `Refused`."""
    return _reasons(_read(queue)[0])


def _read(queue: Stream) -> tuple[Figures, Figures, dict[str, str]]:
    """Return the totals now, the totals when the last outage ended, and what was noted of the open one."""
    figures = queue.totals.read()
    with refusing():
        fields = queue.redis.hgetall(queue.keys.outage)
    state = {name.decode(): value.decode() for name, value in fields.items()}
    return figures, json.loads(state.get("base", "{}")), state


def _note(queue: Stream, figures: Figures, state: dict[str, str], up: bool) -> dict[str, str]:
    """Note how deep the queue was, and since when the database is up."""
    deepest = max(figures["depth"], int(state.get("deepest", 0)))
    noted = state | {"deepest": str(deepest)}
    if up:
        noted["up"] = state.get("up") or str(queue.now_ms())
    else:
        noted |= {"up": "", "down": str(queue.now_ms())}
    if noted != state:
        queue.put(
            queue.keys.outage,
            "deepest",
            deepest,
            "up",
            noted["up"],
            "down",
            noted.get("down", ""),
            "parked",
            _last_parked_ms(queue),
        )
    return noted


def _last_parked_ms(queue: Stream) -> int:
    """When the last entry came, by the clock of Redis."""
    with refusing():
        last_id: bytes = queue.redis.xinfo_stream(queue.keys.stream)["last-generated-id"]
    return int(last_id.partition(b"-")[0])


def _close(queue: Stream, figures: Figures) -> bool:
    """Begin the next outage from these totals, unless something was parked meanwhile: then this one goes on."""
    base = {name: value for name, value in figures.items() if name != "since"}
    came = figures.get("enqueued", 0)
    return bool(queue.run("close", [queue.keys.stats, queue.keys.outage], [came, json.dumps(base)]))


def _outage(figures: Figures, base: Figures, state: dict[str, str], emptied_at: datetime | None) -> QueueOutage:
    more = {name: figures.get(name, 0) - base.get(name, 0) for name in (*TOTALS, "depth", "dead")}
    before, up = _reasons(base), state.get("up")
    counts = {reason: count - before.get(reason, 0) for reason, count in _reasons(figures).items()}
    return QueueOutage(
        began_at=moment(figures["since"]),
        up_at=moment(int(up)) if up else None,
        emptied_at=emptied_at,
        reasons={reason: count for reason, count in counts.items() if count > 0},
        parked=more["enqueued"],
        stored=more["drained"] + more["duplicate"],
        quarantined=more["quarantined"],
        discarded=more["discarded"],
        left=more["depth"],
        dead=more["dead"],
        deepest=int(state.get("deepest", 0)),
        lasted_s=max(*(int(state.get(name) or 0) - figures["since"] for name in ("down", "parked")), 0) / 1000,
    )


def _reasons(figures: Figures) -> dict[str, int]:
    return {
        name.removeprefix(REASON_PREFIX): count for name, count in figures.items() if name.startswith(REASON_PREFIX)
    }
