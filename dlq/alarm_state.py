"""What is alarmed now, and what has been told of it: shared by all processes, in Redis."""

from dlq.scripts import Connection, refusing


class AlarmState:
    """The alarms of one queue. Every method raises `Refused` when Redis does not do it."""

    def __init__(self, connection: Connection):
        self._connection = connection

    def read(self) -> dict[str, str]:
        """Return the state: `depth_since` (ms) while the depth is alarmed, and what has been told."""
        with refusing():
            state = self._connection.redis.hgetall(self._connection.keys.alarm)
        return {name.decode(): text.decode() for name, text in state.items()}

    def remember(self, name: str, text: str) -> None:
        """Remember what has been told; an empty text forgets it."""
        self._connection.put(self._connection.keys.alarm, name, text)
