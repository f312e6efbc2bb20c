"""The totals of a queue, read at one moment."""

from dlq.scripts import Connection, refusing
from dlq.stats import Stats


class Totals:
    """How many messages there are, came and left. Every method raises `Refused` when Redis does not answer."""

    def __init__(self, connection: Connection):
        self._connection = connection

    def depth(self) -> int:
        """Return how many messages are in the queue."""
        with refusing():
            return int(self._connection.redis.xlen(self._connection.keys.stream))

    def stats(self) -> Stats:
        """Return how many messages are in each place, and have come and gone."""
        totals = self.read()
        return Stats(**{name: totals.get(name, 0) for name in Stats._fields})

    def read(self) -> dict[str, int]:
        """Return every counter at one moment: those of `Stats`, `ready` (due now), and all that scripts count."""
        keys = self._connection.keys
        places = [keys.stream, keys.due, keys.leased, keys.dead, keys.stats]
        answer = self._connection.run("totals", places, [])
        counters = dict(zip((name.decode() for name in answer[5::2]), map(int, answer[6::2]), strict=True))
        return counters | dict(zip(("depth", "ready", "due", "leased", "dead"), answer[:5], strict=True))
