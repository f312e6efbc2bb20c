"""Writers who go on against another host where one does not promise, and note when each answer came."""

import http.client
import socket
import time
from collections.abc import Sequence
from itertools import cycle
from typing import Any, NamedTuple

from bench.load import Ledger, Senders

TIMEOUT_S = 5


class Answer(NamedTuple):
    """When an answer came (monotonic seconds), and its status; 0 where none did."""

    at: float
    status: int


class Writers(Senders):
    """Senders to several hosts."""

    def __init__(self, places: Sequence[tuple[str, int]], key: str, ledger: Ledger, *, count: int, rate: float):
        super().__init__(places[0][1], key, ledger, count=count, rate=rate, host=places[0][0])
        self._places = list(places)
        self._turns = cycle(places)
        self.answers: list[Answer] = []

    def _connection(self) -> http.client.HTTPConnection:
        """Each writer begins at another host."""
        return http.client.HTTPConnection(*next(self._turns), timeout=TIMEOUT_S)

    def _post(self, connection: http.client.HTTPConnection, path: str, body: bytes) -> int:
        status = super()._post(connection, path, body)
        self.answers.append(Answer(time.monotonic(), status))
        if status not in (200, 201, 202):
            connection.close()
            place: Any = (connection.host, connection.port)
            following = (self._places.index(place) + 1) % len(self._places)
            connection.host, connection.port = self._places[following]
        return status


def answers(place: tuple[str, int]) -> bool:
    """Whether something listens there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(place) == 0
