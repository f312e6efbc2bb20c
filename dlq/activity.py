"""Whether drains may work, and when each process of the queue last ran."""

from datetime import datetime

from dlq.message import moment
from dlq.scripts import Connection, refusing


class Activity:
    """Pause and signs of life. Every method raises `Refused` when Redis does not do it."""

    def __init__(self, connection: Connection):
        self._connection = connection

    def pause(self, by: str) -> None:
        """Keep drains from the queue until `resume`; parking goes on."""
        self._connection.put(self._connection.keys.pause, "by", by, "at", self._connection.now_ms())

    def resume(self) -> None:
        """Let drains work again."""
        with refusing():
            self._connection.redis.delete(self._connection.keys.pause)

    def paused(self) -> tuple[str, datetime] | None:
        """Return who paused drains, and when; None while they work."""
        with refusing():
            pause = self._connection.redis.hgetall(self._connection.keys.pause)
        return (pause[b"by"].decode(), moment(int(pause[b"at"]))) if pause else None

    def beat(self, name: str) -> None:
        """Note that something runs now: `last_drain_at`, `last_tick_at`, `last_watch_at`."""
        self._connection.put(self._connection.keys.beats, name, self._connection.now_ms())

    def beats(self) -> dict[str, datetime]:
        """Return when each thing last ran."""
        with refusing():
            beats = self._connection.redis.hgetall(self._connection.keys.beats)
        return {name.decode(): moment(int(at)) for name, at in beats.items()}
