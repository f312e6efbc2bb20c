"""Names that nobody has to give out: ids of events (UUIDv7, RFC 9562), and epochs of numbers."""

import os
import re
import secrets
import socket
import time

EPOCH_CHARACTERS_MAX = 64
# Random bytes of an id, and for how many ids they are fetched at once: each call of the kernel lets another thread go
# first, for which a busy service waits long.
ID_BYTES, IDS_AT_ONCE = 10, 400

_random: list[bytes] = []
# A child would else give its events the ids of its parent's.
os.register_at_fork(after_in_child=_random.clear)


def uuid7(milliseconds: int | None = None) -> str:
    """Return a UUIDv7 of this moment, or of these milliseconds since 1970, as text."""
    at = time.time_ns() // 1_000_000 if milliseconds is None else milliseconds
    bits = at << 80 | int.from_bytes(_chance())
    bits = bits & ~(0xF << 76) | 0x7 << 76
    text = f"{bits & ~(0x3 << 62) | 0x2 << 62:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _chance() -> bytes:
    """Return random bytes that nobody else gets; `pop` alone takes them, which no thread or signal can divide."""
    while True:
        try:
            return _random.pop()
        except IndexError:
            fresh = os.urandom(ID_BYTES * IDS_AT_ONCE)
            _random.extend(fresh[at : at + ID_BYTES] for at in range(0, len(fresh), ID_BYTES))


def epoch() -> str:
    """Return a name for the numbers that this process counts from now on: host, process, start, and chance."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:24]
    started = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    return f"{host}-{os.getpid()}-{started}-{secrets.token_hex(4)}"[:EPOCH_CHARACTERS_MAX]
