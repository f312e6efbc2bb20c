"""Names that nobody has to give out: ids of events (UUIDv7, RFC 9562), and epochs of numbers."""

import os
import re
import secrets
import socket
import time

EPOCH_CHARACTERS_MAX = 64
# Random bytes of an id, and for how many ids they are fetched at once: each call of the kernel lets another thread go
# first, for which a busy service waits long.
ID_BYTES, IDS_AT_ONCE = 10, 100
# How the last three groups of an id are written, and what the digit with the variant becomes: of its four bits the
# first are 1 and 0, the last two are chance.
GROUPS = (4, 4, 12)
VARIANTS = bytes.maketrans(b"0123456789abcdef", b"89ab" * 4)

_ends: list[str] = []
# A child would else give its events the ids of its parent's.
os.register_at_fork(after_in_child=_ends.clear)


def uuid7(milliseconds: int | None = None) -> str:
    """Return a UUIDv7 of this moment, or of these milliseconds since 1970, as text."""
    at = f"{time.time_ns() // 1_000_000 if milliseconds is None else milliseconds:012x}"
    return f"{at[:8]}-{at[8:]}-{_chance()}"


def _chance() -> str:
    """Return an end of an id that nobody else gets; `pop` alone takes it, which no thread or signal can divide."""
    while True:
        try:
            return _ends.pop()
        except IndexError:
            _ends.extend(_fresh())


def _fresh() -> list[str]:
    """The last three groups of many ids, made of all at once a digit at a time: in half the time of id by id."""
    digits = os.urandom(ID_BYTES * IDS_AT_ONCE).hex().encode()
    length, step = sum(GROUPS) + len(GROUPS) - 1, sum(GROUPS)
    ends = bytearray(b"-" * length * IDS_AT_ONCE)
    place = 0
    for group, width in enumerate(GROUPS):
        for _ in range(width):
            ends[place + group :: length] = digits[place::step]
            place += 1
    ends[0::length] = b"7" * IDS_AT_ONCE
    variant = GROUPS[0] + 1
    ends[variant::length] = ends[variant::length].translate(VARIANTS)
    text = ends.decode()
    return [text[at : at + length] for at in range(0, len(text), length)]


def epoch() -> str:
    """Return a name for the numbers that this process counts from now on: host, process, start, and chance."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:24]
    started = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    return f"{host}-{os.getpid()}-{started}-{secrets.token_hex(4)}"[:EPOCH_CHARACTERS_MAX]
