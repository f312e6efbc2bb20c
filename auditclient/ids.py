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
# The digit that holds the variant: of its four bits the first are 1 and 0, the last two are chance.
VARIANTS = {f"{digit:x}": f"{8 | digit & 3:x}" for digit in range(16)}

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
            fresh = os.urandom(ID_BYTES * IDS_AT_ONCE).hex()
            digits = 2 * ID_BYTES
            _ends.extend(_end(fresh[at : at + digits]) for at in range(0, len(fresh), digits))


def _end(chance: str) -> str:
    """The last three groups of an id, with its version and variant, of twenty random hexadecimal digits."""
    return f"7{chance[1:4]}-{VARIANTS[chance[4]]}{chance[5:8]}-{chance[8:]}"


def epoch() -> str:
    """Return a name for the numbers that this process counts from now on: host, process, start, and chance."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:24]
    started = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    return f"{host}-{os.getpid()}-{started}-{secrets.token_hex(4)}"[:EPOCH_CHARACTERS_MAX]
