"""Open a Redis: the one place where connections to it are made, whatever form its address has.

With Sentinels or a cluster each new connection asks who the primary is. The client that comes of it is that of one
server: all keys under one hash tag are on one server of a cluster, so that scripts, transactions and WAIT work there as
everywhere.
"""

import time
from collections.abc import Callable
from typing import Any

import redis
from redis import exceptions as errors
from redis.backoff import NoBackoff
from redis.connection import Connection, ConnectionPool, SSLConnection, UnixDomainSocketConnection
from redis.crc import key_slot
from redis.retry import Retry

from dlq.address import Address, Place, read

# A Sentinel, or a server of a cluster, that did not answer is not asked again for so long, unless no other answers.
SILENT_FOR_S = 5.0
# Answers of a server that is not, or no longer, the one that has the keys.
ELSEWHERE = (
    errors.ReadOnlyError,
    errors.MasterDownError,
    errors.ClusterDownError,
    errors.AskError,
    errors.TryAgainError,
)


class NotFound(redis.ConnectionError):
    """Nobody says who the primary is."""


def client(url: str, *, tag: str, timeout_s: float | None, retry: Retry | None = None) -> redis.Redis:
    """Return a client of the primary at `url`; nothing is connected yet.

    `tag` is the hash tag of the keys that are asked for, which decides about the server of a cluster. Without `retry`
    nothing is sent twice. Raises `UnreadableAddress`; each command then raises redis-py's errors.
    """
    made: redis.Redis = redis.Redis.from_pool(pool(url, tag=tag, timeout_s=timeout_s, retry=retry))
    return made


def pool(url: str, *, tag: str, timeout_s: float | None, retry: Retry | None = None) -> ConnectionPool:
    """Return a pool of connections to the primary at `url`, as `client` has. Raises `UnreadableAddress`."""
    address = read(url)
    waits: dict[str, Any] = {
        "retry": retry or Retry(NoBackoff(), 0),
        "retry_on_error": [],
        "socket_timeout": timeout_s,
    }
    if not address.places:
        return ConnectionPool(connection_class=_SocketConnection, **waits, **address.options)
    waits["socket_connect_timeout"] = timeout_s
    kind = _TlsConnection if address.is_tls else _Connection
    if address.kind == "server":
        host, port = address.places[0]
        return ConnectionPool(connection_class=kind, host=host, port=port, **waits, **address.options)
    finder = Primary(address, tag, timeout_s)
    made = ConnectionPool(connection_class=kind, find=finder.place, **waits, **address.options)
    finder.follows(made)
    return made


def asking(address: Address, place: Place, timeout_s: float | None) -> redis.Redis:
    """Return a client of one of the Sentinels of an address, or of one server of its cluster."""
    options = address.sentinel_options if address.kind == "sentinel" else address.options
    return redis.Redis(
        *place,
        ssl=address.is_tls,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        **options,
    )


class Primary:
    """Who the primary is: what Sentinels say of their service, or a cluster of the server of a hash tag."""

    def __init__(self, address: Address, tag: str, timeout_s: float | None):
        self._address, self._slot = address, key_slot(tag.encode())
        self._asked = {place: asking(address, place, timeout_s) for place in address.places}
        self._silent_until: dict[Place, float] = {}
        self._last: Place | None = None
        self._pool: ConnectionPool | None = None

    def follows(self, connections: ConnectionPool) -> None:
        """Let go of idle connections of this pool whenever there is another primary."""
        self._pool = connections

    def place(self) -> Place:
        """Ask now. Raises `NotFound`."""
        answers, silent = self.answers()
        if not answers:
            raise NotFound(f"Nobody says who the primary is: {'; '.join(silent)}.")
        # One that was cut off may still name the primary of before: the highest epoch is the latest.
        found = max(answers)[1]
        if found != self._last:
            self._last = found
            if self._pool is not None:
                self._pool.disconnect(inuse_connections=False)
        return found

    def answers(self) -> tuple[list[tuple[int, Place]], list[str]]:
        """Return what each says, as epoch and primary; and why others say nothing."""
        now = time.monotonic()
        first = [place for place in self._asked if self._silent_until.get(place, 0.0) <= now]
        answers, silent = self._ask(first)
        if not answers:
            more, also = self._ask([place for place in self._asked if place not in first])
            answers, silent = more, silent + also
        return answers, silent

    def _ask(self, places: list[Place]) -> tuple[list[tuple[int, Place]], list[str]]:
        answers, silent = [], []
        ask = self._of_sentinel if self._address.kind == "sentinel" else self._of_cluster
        for place in places:
            try:
                answers.append(ask(self._asked[place]))
            except (redis.RedisError, OSError) as error:
                silent.append(f"{place[0]}:{place[1]} ({_words(error)})")
                # One that answers, and knows no primary now, may know it in a moment.
                if isinstance(error, redis.ConnectionError | redis.TimeoutError | OSError):
                    self._silent_until[place] = time.monotonic() + SILENT_FOR_S
        return answers, silent

    def _of_sentinel(self, sentinel: redis.Redis) -> tuple[int, Place]:
        state: Any = sentinel.sentinel_master(self._address.service)
        if not state["is_master"]:
            raise redis.ResponseError("knows no primary now")
        return int(state["config-epoch"]), (str(state["ip"]), int(state["port"]))

    def _of_cluster(self, server: Any) -> tuple[int, Place]:
        nodes: dict[str, Any] = server.execute_command("CLUSTER NODES")
        owners = [
            (int(node["epoch"]), node["hostname"] or place.rpartition(":")[0], place.rpartition(":")[2])
            for place, node in nodes.items()
            if "master" in node["flags"]
            and any(int(slots[0]) <= self._slot <= int(slots[-1]) for slots in node["slots"])
        ]
        if not owners:
            raise redis.ResponseError("no server has the slot of the keys")
        epoch, host, port = max(owners)
        # A cluster of one does not know its own address.
        return epoch, (host or server.connection_pool.connection_kwargs["host"], int(port))

    def _is_in(self, slots: list[list[str]]) -> bool:
        """Whether the slot of our keys is in one of these ranges; a range of one slot has one number."""
        return any(int(some[0]) <= self._slot <= int(some[-1]) for some in slots)


class _Following:
    """A connection that asks anew who the primary is, each time it is made, and ends where that is another."""

    def __init__(self, *arguments: Any, find: Callable[[], Place] | None = None, **options: Any):
        super().__init__(*arguments, **options)
        self._find = find

    def connect_check_health(self, *arguments: Any, **options: Any) -> None:
        here: Any = self
        if self._find is not None and not here.is_connected:
            here.host, here.port = self._find()
        super().connect_check_health(*arguments, **options)  # type: ignore[misc]

    def read_response(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super().read_response(*arguments, **options)  # type: ignore[misc]
        except redis.ResponseError as error:
            # Redis 6.2 has it within the error of a script.
            if not isinstance(error, ELSEWHERE) and "-READONLY " not in str(error):
                raise
            here: Any = self
            here.disconnect()
            raise redis.ConnectionError(f"This server has not, or no longer, the keys: {_words(error)}.") from error


class _Connection(_Following, Connection):
    pass


class _TlsConnection(_Following, SSLConnection):
    pass


class _SocketConnection(_Following, UnixDomainSocketConnection):
    pass


def _words(error: BaseException) -> str:
    """An error in few words: of an answer its first ones, of anything else its kind."""
    return str(error)[:80] if isinstance(error, redis.ResponseError) else type(error).__name__
