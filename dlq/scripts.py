"""The scripts of `dlq/lua`, as one connection runs them; and the one error for whatever Redis does wrong."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from redis.commands.core import Script

from dlq import metrics
from dlq.errors import Refused

LUA = Path(__file__).parent / "lua"


class Scripts:
    """Scripts by name, each registered at its first use."""

    def __init__(self, connection: redis.Redis):
        # redis-py types an answer as the union of what every setting could give; ours are bytes and numbers.
        self._redis: Any = connection
        self._known: dict[str, Script] = {}

    def get(self, name: str, frees: bool) -> Script:
        """A script; one that `frees` memory first may run while Redis is full."""
        if (script := self._known.get(name)) is None:
            text = (LUA / f"{name}.lua").read_text(encoding="utf-8")
            # Redis 6.2 does not know the flag; there the order of the commands does the same.
            if frees and self._major() >= 7:
                text = "#!lua flags=allow-oom\n" + text
            script = self._known[name] = self._redis.register_script(text)
        return script

    def _major(self) -> int:
        return int(str(self._redis.info("server")["redis_version"]).split(".")[0])


@contextmanager
def refusing() -> Iterator[None]:
    """Whatever Redis or the way to it does wrong is one thing to the caller."""
    try:
        yield
    except (redis.RedisError, OSError) as error:
        metrics.refused.labels(error=type(error).__name__).inc()
        raise Refused(f"Redis did not do it ({type(error).__name__}).") from error
