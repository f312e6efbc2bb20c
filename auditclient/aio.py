"""The same client for asyncio: the loop never waits for a disk."""

import asyncio
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

from auditclient.client import Client, Flushed, Receipt
from auditclient.config import Config, Durability
from auditclient.metrics import Hook

Answer = TypeVar("Answer")
# Calls that wait for the disk share its flushes, so that few threads serve many tasks.
THREADS = 16


class AsyncClient:
    """As `Client`, which it has as `client`; what waits there is awaited here."""

    def __init__(self, config: Config | None = None, *, metrics: Hook | None = None):
        self.client = Client(config, metrics=metrics)
        self._threads, self._process = _pool(), os.getpid()

    async def record(
        self, event: Mapping[str, Any], *, wait_s: float = 0.0, durability: Durability | None = None
    ) -> Receipt:
        """Keep an event, as `Client.record` does. Where the task is cancelled meanwhile, it is kept all the same."""
        return await self._run(lambda: self.client.record(event, wait_s=wait_s, durability=durability))

    async def flush(self, timeout_s: float = 30.0) -> Flushed:
        """Send what was recorded before, as `Client.flush` does."""
        return await self._run(lambda: self.client.flush(timeout_s))

    async def close(self, timeout_s: float | None = None) -> Flushed:
        """End, as `Client.close` does."""
        flushed = await self._run(lambda: self.client.close(timeout_s))
        self._threads.shutdown(wait=False)
        return flushed

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def _run(self, act: Callable[[], Answer]) -> Answer:
        if self._process != os.getpid():  # the threads stayed with the parent
            self._threads, self._process = _pool(), os.getpid()
        return await asyncio.get_running_loop().run_in_executor(self._threads, act)


def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="auditclient")
