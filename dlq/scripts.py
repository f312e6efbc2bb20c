"""One queue on one connection to Redis: its keys, the scripts of `dlq/lua`, and the one error for all faults."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from redis.commands.core import Script

from dlq import metrics
from dlq.client import QueueKeys
from dlq.errors import Refused

LUA = Path(__file__).parent / "lua"


class Connection:
    """What all parts of a queue share. Every method raises `Refused` when Redis does not do it."""

    def __init__(self, client: redis.Redis, prefix: str):
        # redis-py types an answer as the union of what every setting could give; ours are bytes and numbers.
        self.redis: Any = client
        self.keys = QueueKeys(prefix)
        self._scripts: dict[str, Script] = {}
        self._known_version: tuple[int, int] | None = None

    def run(self, name: str, keys: list[str], arguments: list[Any], *, frees: bool = True) -> Any:
        """Run a script of `dlq/lua`. One that `frees` memory first may run while Redis is full."""
        with refusing():
            return self.script(name, frees)(keys=keys, args=arguments)

    def put(self, key: str, *pairs: Any) -> None:
        """Set fields of a small hash, also while Redis is full: name, value, and so on."""
        self.run("put", [key], list(pairs))

    def now_ms(self) -> int:
        """Return the time of this Redis in milliseconds since 1970: the one clock of a queue, whoever asks."""
        with refusing():
            seconds, microseconds = self.redis.time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    def ping(self) -> None:
        """Return if Redis answers."""
        with refusing():
            self.redis.ping()

    def script(self, name: str, frees: bool) -> Script:
        """Return a script, registered at its first use."""
        if (script := self._scripts.get(name)) is None:
            text = (LUA / f"{name}.lua").read_text(encoding="utf-8")
            # Redis 6.2 does not know the flag; there the order of the commands does the same.
            if frees and self._version() >= (7, 0):
                text = "#!lua flags=allow-oom\n" + text
            script = self._scripts[name] = self.redis.register_script(text)
        return script

    def waits_for_disks(self) -> bool:
        """Whether this Redis can wait until a write is on disks (WAITAOF)."""
        return self._version() >= (7, 2)

    def _version(self) -> tuple[int, int]:
        if self._known_version is None:
            major, minor = str(self.redis.info("server")["redis_version"]).split(".")[:2]
            self._known_version = int(major), int(minor)
        return self._known_version


@contextmanager
def refusing() -> Iterator[None]:
    """Raise `Refused` for whatever Redis, or the way to it, does wrong."""
    try:
        yield
    except (redis.RedisError, OSError) as error:
        metrics.refused.labels(error=type(error).__name__).inc()
        raise Refused(f"Redis did not do it ({type(error).__name__}).") from error
