"""Which keys each running process knows, or signs with, so that a rotation waits until all of them know the new one.

One of the few modules that use Redis by themselves. A container that mounts a key's file instead of its directory keeps
reading the old one; without this, everything that it verifies after a rotation would look like another log.
"""

import os
import socket
import sys
import threading
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

    Never raises for Redis; what it did not take is said again at the next call after ANNOUNCED_EVERY_S.
    """
    known = _ids(verifiers)
    if not _is_due(known, of):
        return
    _announced[of] = os.getpid(), known, time.monotonic() + every_s
    try:
        connection = dlq.client.connect(settings.DLQ_TIMEOUT_MS, "audit")
        with connection.pipeline(transaction=True) as pipe:
            pipe.zadd(_name("seen", of), {process_name(): _now_ms(connection)})
            pipe.hset(_name("keys", of), process_name(), known)
            pipe.execute()
    except redis.RedisError as error:
        _announced[of] = os.getpid(), known, time.monotonic() + ANNOUNCED_EVERY_S
        log.info("known_keys_not_announced", error=type(error).__name__)


def announce_beside(verifiers: Iterable[Verifier], of: str, every_s: float) -> None:
    """Announce as `announce` does, in a thread beside: whoever calls waits for no Redis, whatever state it is in."""
    global _speaker
    keys = tuple(verifiers)
    if not _is_due(_ids(keys), of):
        return
    with _handing_over:
        _to_say[of] = keys, every_s  # what an earlier call left here is not so any more
        if _speaker is None or not _speaker.is_alive():  # after a fork it lives in the parent alone
            _speaker = threading.Thread(target=_speak, name="known-keys", daemon=True)
            _speaker.start()


def _speak() -> None:
    """Announce what was handed over, until there is no more of it."""
    global _speaker
    while True:
        with _handing_over:
            if not _to_say:
                _speaker = None
                return
            of, (verifiers, every_s) = _to_say.popitem()
        announce(verifiers, of, every_s)


def _is_due(known: str, of: str) -> bool:
    before = _announced.get(of)
    return before is None or before[:2] != (os.getpid(), known) or time.monotonic() >= before[2]


def _ids(verifiers: Iterable[Verifier]) -> str:
    return " ".join(verifier.id.hex() for verifier in verifiers)


# By what they are of: by which process, which keys, and when they are said again (monotonic seconds).
_announced: dict[str, tuple[int, str, float]] = {}
# What the thread beside is to say next, by what the keys are of.
_to_say: dict[str, tuple[tuple[Verifier, ...], float]] = {}
_handing_over = threading.Lock()
_speaker: threading.Thread | None = None


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
