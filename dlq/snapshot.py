"""Write the whole of Redis, as it is at one moment, to a file: what a replica is given at its start.

Redis forks and sends what it holds; it goes on serving meanwhile, and needs memory for what changes until then. The
file is an RDB: a server that starts with it has all of it, docs/operations.md says how.
"""

import os
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings

from dlq import servers
from dlq.errors import Refused
from dlq.scripts import refusing

CHUNK = 1024 * 1024
# Redis gathers replicas for 5 s before it begins, and says each second that it is still at it.
TIMEOUT_S = 60.0
BEGINS = b"REDIS", b"VALKEY"


def save(path: Path) -> int:
    """Write the file, flushed to the disk; return its size. Raises `Refused` and, for the file, `OSError`."""
    with path.open("wb") as file:
        size = _receive(file)
        file.flush()
        os.fsync(file.fileno())
    with path.open("rb") as file:
        if not file.read(6).startswith(BEGINS):
            raise Refused("What Redis sent is no file of its own: is there a proxy between?")
    return size


def _receive(file: BinaryIO) -> int:
    pool = servers.pool(settings.REDIS_URL, tag=settings.DLQ_PREFIX, timeout_s=TIMEOUT_S)
    connection: Any = pool.make_connection()
    try:
        with refusing():
            connection.connect()
            connection.send_command("SYNC")
            # What follows is no answer that the client could read: a length, and so many bytes.
            stream = connection._sock.makefile("rb")
            size = _length(stream)
        left = size
        while left:
            with refusing():
                data = stream.read(min(CHUNK, left))
            if not data:
                raise Refused(f"Redis ended before it had sent all: {left} of {size} bytes are missing.")
            file.write(data)
            left -= len(data)
        return size
    finally:
        connection.disconnect()


def _length(stream: BinaryIO) -> int:
    """Read the line that says how long it is, after empty ones that say that Redis is at it."""
    while True:
        line = stream.readline(1000)
        if not line:
            raise Refused("Redis ended without a word: it may have no room to fork, see its log.")
        if line.startswith(b"-"):
            raise Refused(f"Redis refused to give a copy of itself ({line[1:60].decode(errors='replace').strip()}).")
        if line.startswith(b"$") and line[1:].strip().isdigit():
            return int(line[1:])
