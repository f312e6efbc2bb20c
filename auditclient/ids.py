"""Names that nobody has to give out: ids of events (UUIDv7, RFC 9562), and epochs of numbers."""

import os
import re
import secrets
import socket
import time
from uuid import UUID

EPOCH_CHARACTERS_MAX = 64


def uuid7(milliseconds: int | None = None) -> UUID:
    """Return a UUIDv7 of this moment, or of these milliseconds since 1970."""
    at = time.time_ns() // 1_000_000 if milliseconds is None else milliseconds
    bits = at << 80 | secrets.randbits(80)
    bits = bits & ~(0xF << 76) | 0x7 << 76
    return UUID(int=bits & ~(0x3 << 62) | 0x2 << 62)


def epoch() -> str:
    """Return a name for the numbers that this process counts from now on: host, process, start, and chance."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:24]
    started = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    return f"{host}-{os.getpid()}-{started}-{secrets.token_hex(4)}"[:EPOCH_CHARACTERS_MAX]
