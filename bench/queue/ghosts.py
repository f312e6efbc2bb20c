"""`make ghosts KILLS=100`: Redis is killed while its scripts run, again and again; no index may name what is not there.

After every kill the queue is mended as it is in production (`dlq.recovery`). Then each promise is in the stream or
was removed, each entry is in exactly one place, the account balances, and a rebuild changes nothing. Exit
status 0 only then.
"""

import argparse
import logging
import os
import random
import sys
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import django
import redis
from rich.console import Console
from rich.progress import track

from auditsite.embedded import Redis
from auditsite.offline import NOWHERE
from bench.load import wait_until

BATCH = 200
DEPTH = 3_000
"""No more is parked while that many are: each round compares all of them."""
console = Console()


@dataclass
class Storm:
    """One server that is killed, and what was promised by it."""

    server: Redis
    rng: random.Random
    promised: set[str] = field(default_factory=set)
    removing: set[str] = field(default_factory=set)
    """Their removal was begun; whether it was done is not known where the kill cut the answer off."""
    removed: set[str] = field(default_factory=set)
    mended: int = 0
    """Restarts after which the queue's own look at it had to make the indexes again."""
    wrong: list[str] = field(default_factory=list)

    def round(self) -> None:
        """Two threads park, two drain, the server is killed among them; then everything is compared."""
        acts = [self._park, self._park, self._drain, self._drain]
        threads = [threading.Thread(target=self._until_killed, args=[act], daemon=True) for act in acts]
        for thread in threads:
            thread.start()
        promised, removed = len(self.promised), len(self.removed)
        wait_until(lambda: len(self.promised) > promised and len(self.removed) > removed, seconds=30, what="all acts")
        time.sleep(self.rng.uniform(0.02, 0.2))
        self.server.kill()
        for thread in threads:
            thread.join(timeout=30)
        self.server.start()
        self._compare()

    def _until_killed(self, act: Any) -> None:
        from dlq.errors import Refused

        queue = self._queue()
        try:
            while True:
                act(queue)
        except Refused:
            return

    def _park(self, queue: Any) -> None:
        from dlq.message import Document, digest_of

        if queue.totals.depth() > DEPTH:
            time.sleep(0.001)
            return
        body, now = b'{"a":1}', datetime.now(UTC)
        batch = [Document(str(uuid.uuid4()), digest_of(body), body, "ghosts", "x", now) for _ in range(BATCH)]
        queue.park(batch, reason="database-down")
        self.promised |= {one.key for one in batch}

    def _drain(self, queue: Any) -> None:
        """Of what was claimed: most is stored, some fails or dies, some is released, and some is forgotten."""
        found = queue.claim(BATCH)
        cut = [len(found) * part // 20 for part in (14, 16, 18, 19)]
        stored, failed = found[: cut[0]], found[cut[0] : cut[1]][:4]
        self.removing |= {one.key for one in stored}
        queue.acknowledge(stored, "drained")
        self.removed |= {one.key for one in stored}
        for number, one in enumerate(failed):
            queue.fail(one, "Poison", "never", dead=number == 0)
        queue.release(found[cut[1] : cut[3]])

    def _compare(self) -> None:
        from dlq import rebuild, recovery

        queue = self._queue()
        self.mended += recovery.mend(queue) is not None
        before = _dump(queue)
        here = {row[1][b"key"].decode() for rows in queue.pages.entries() for row in rows}
        for text, keys in (
            ("promised and gone", self.promised - self.removing - here),
            ("removed and back", self.removed & here),
        ):
            self.wrong += [f"{text}: {key}" for key in keys]
        if not (stats := queue.totals.stats()).balanced or stats.lost:
            self.wrong.append(f"not balanced, or counted as lost: {stats}")
        rebuild.rebuild(queue)
        after = _dump(queue)
        changed = [name for name in before | after if before.get(name) != after.get(name)]
        self.wrong += [f"the rebuild changed {name.decode()}" for name in changed]

    def _queue(self) -> Any:
        from dlq.stream import Stream

        return Stream(redis.Redis.from_url(self.server.url(), socket_timeout=10), "ghosts")


def _dump(queue: Any) -> dict[bytes, Any]:
    """Every key of the queue with all that it holds."""
    readers = {
        b"zset": lambda key: queue.redis.zrange(key, 0, -1, withscores=True),
        b"hash": queue.redis.hgetall,
        b"stream": queue.redis.xrange,
        b"string": queue.redis.get,
    }
    return {key: readers[queue.redis.type(key)](key) for key in queue.redis.scan_iter()}


def storm(server: Redis, *, kills: int, seed: int = 1) -> Storm:
    """Kill a running server that often; what was wrong is in the answer."""
    found = Storm(server, random.Random(seed))
    for _ in track(range(kills), description="killing Redis", console=console, transient=True):
        found.round()
    return found


def main() -> int:
    """Run it on a server of its own."""
    parser = argparse.ArgumentParser(prog="python -m bench.queue.ghosts")
    parser.add_argument("--kills", type=int, default=100)
    kills = parser.parse_args().kills
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "auditsite.settings")
    os.environ |= NOWHERE
    django.setup()
    logging.disable(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="auditsite-") as folder:
        server = Redis(Path(folder) / "redis")
        server.start()
        try:
            found = storm(server, kills=kills)
        finally:
            server.stop()
    console.print(
        f"{kills} kills: {len(found.promised)} promised, {len(found.removed)} removed, "
        f"{len(found.removing - found.removed)} cut off in the middle of it, "
        f"{found.mended} restarts mended, {len(found.wrong)} ghosts"
    )
    for text in found.wrong[:20]:
        console.print(text)
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
