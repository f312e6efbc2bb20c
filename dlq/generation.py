"""Tell a queue that was restored from an older file, or replaced by an empty one, from the queue that was known.

Whoever keeps what the queue counted keeps its generation beside it, outside of Redis, and compares the two before it
trusts the counters again. A queue only moves on: its stream gives higher ids, its totals grow. One of the same
generation that has come less far is an older state of itself; what left it since is in it again.
"""

import secrets
from typing import Literal, NamedTuple

from dlq.message import stream_order
from dlq.stream import Stream

Relation = Literal["same", "older", "other"]


class Generation(NamedTuple):
    """One life of the queue, and how far it has come."""

    # Random, drawn with the first read of a queue that has none.
    id: str
    # The highest id that the stream gave so far.
    last_id: str
    enqueued: int
    gone: int


def read(queue: Stream) -> Generation:
    """Return the generation of the queue as it is now; one begins where none is known. Raises `Refused`."""
    return _read(queue, renew=False)


def renew(queue: Stream) -> Generation:
    """Begin another generation, after an older state of the queue was found and noted. Raises `Refused`."""
    return _read(queue, renew=True)


def compare(known: Generation, now: Generation) -> Relation:
    """Say what the queue of now is to the known one: the same, an older state of it, or another queue."""
    if now.id != known.id:
        return "other"
    behind = (
        stream_order(now.last_id) < stream_order(known.last_id)
        or now.enqueued < known.enqueued
        or now.gone < known.gone
    )
    return "older" if behind else "same"


def _read(queue: Stream, *, renew: bool) -> Generation:
    places = [queue.keys.stream, queue.keys.stats, queue.keys.generation]
    generation, last_id, enqueued, gone = queue.run("generation", places, [secrets.token_hex(16), int(renew)])
    return Generation(generation.decode(), last_id.decode(), int(enqueued), int(gone))
