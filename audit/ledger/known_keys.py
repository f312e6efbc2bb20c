"""Which keys each running process knows, or signs with, so that a rotation waits until all of them know the new one.

One of the few modules that use Redis by themselves. A container that mounts a key's file instead of its directory keeps
reading the old one; without this, everything that it verifies after a rotation would look like another log.
"""

import os
import socket
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import redis
import structlog
from django.conf import settings

import dlq.client
from audit.formats.note import Verifier

log = structlog.get_logger(__name__)

ANNOUNCED_EVERY_S = 2.0
# Of what the keys are. Receipts are signed while writers wait: that is told less often.
LOG, RECEIPTS = "log", "receipts"
RECEIPTS_EVERY_S = 30.0
# A process that has said nothing for so long has ended: the worker reads the keys each minute.
FORGOTTEN_AFTER_MS = 150_000


def announce(verifiers: Iterable[Verifier], of: str = LOG, every_s: float = ANNOUNCED_EVERY_S) -> None:
    """Say in Redis which keys this process knows, or of RECEIPTS signs with, at most `every_s` where they are the same.

    Never raises for Redis.
    """
    known, now = " ".join(verifier.id.hex() for verifier in verifiers), time.monotonic()
    before = _announced.get(of)
    if before is not None and before[:2] == (os.getpid(), known) and now - before[2] < every_s:
        return
    _announced[of] = os.getpid(), known, now
    try:
        connection = dlq.client.connect(settings.DLQ_TIMEOUT_MS, "audit")
        with connection.pipeline(transaction=True) as pipe:
            pipe.zadd(_name("seen", of), {process_name(): _now_ms(connection)})
            pipe.hset(_name("keys", of), process_name(), known)
            pipe.execute()
    except redis.RedisError as error:
        log.info("known_keys_not_announced", error=type(error).__name__)


# By what they are of: by which process, which keys, and when (monotonic seconds).
_announced: dict[str, tuple[int, str, float]] = {}


def withdraw() -> None:
    """Say in Redis that this process ends: a command that is over is not waited for. Never raises for Redis."""
    if not _announced:
        return
    kinds = list(_announced)
    _announced.clear()
    try:
        connection = dlq.client.connect(settings.DLQ_TIMEOUT_MS)
        with connection.pipeline(transaction=True) as pipe:
            for of in kinds:
                pipe.zrem(_name("seen", of), process_name())
                pipe.hdel(_name("keys", of), process_name())
            pipe.execute()
    except redis.RedisError as error:
        log.info("known_keys_not_withdrawn", error=type(error).__name__)


def ignorant_of(verifier: Verifier, of: str = LOG) -> list[str]:
    """Return the running processes that do not know a key, or of RECEIPTS sign with another.

    Raises `redis.RedisError`.
    """
    connection: Any = dlq.client.connect(dlq.client.DRAIN_TIMEOUT_MS, "audit")
    since = _now_ms(connection) - FORGOTTEN_AFTER_MS
    running: Any = connection.zrangebyscore(_name("seen", of), since, "+inf")
    ended: Any = connection.zrangebyscore(_name("seen", of), "-inf", f"({since}")
    if ended:
        connection.hdel(_name("keys", of), *ended)
        connection.zrem(_name("seen", of), *ended)
    known: Any = connection.hmget(_name("keys", of), running) if running else []
    return sorted(
        process.decode()
        for process, keys in zip(running, known, strict=True)
        if verifier.id.hex() not in (keys or b"").decode().split()
    )


def process_name() -> str:
    """Return the host, or container, and the program: the processes of one program on a host read the same files."""
    command = sys.argv[1] if len(sys.argv) > 1 and Path(sys.argv[0]).name == "manage.py" else ""
    return f"{socket.gethostname()} {Path(sys.argv[0]).name} {command}".strip()


def _now_ms(connection: redis.Redis) -> int:
    seconds, microseconds = connection.time()
    return int(seconds) * 1000 + int(microseconds) // 1000


def _name(part: str, of: str = LOG) -> str:
    return dlq.client.app_key("audit", "known-keys", part if of == LOG else f"{of}-{part}")
