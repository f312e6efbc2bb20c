"""Loopback ports for servers that have to be told which to take."""

import secrets
import socket

# Below those that systems give to whoever asks for any: until its server has started, nobody gets a port by chance.
FIRST, END = 20_000, 32_000
_given: set[int] = set()


def free_port() -> int:
    """A loopback port that nobody uses now, and that neither this process nor the system gives away again."""
    while True:
        port = FIRST + secrets.randbelow(END - FIRST)
        if port not in _given and _is_free(port):
            _given.add(port)
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
