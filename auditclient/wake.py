"""Wake a thread from anywhere."""

from contextlib import suppress
from threading import Lock


class Wake:
    """Wakes the sender's thread, from any thread, from a signal handler also in the middle of another call.

    A lock that is held while nobody calls: to release it may be interrupted by itself. The `get` of a `SimpleQueue`,
    which may be as well, waits for ever in Python 3.11 and 3.12 when its time passes before it sleeps.
    """

    def __init__(self) -> None:
        self._uncalled = Lock()
        self._uncalled.acquire()

    def call(self) -> None:
        """Wake it, if it is not awake already."""
        if self._uncalled.locked():
            with suppress(RuntimeError):  # called meanwhile
                self._uncalled.release()

    def wait(self, timeout_s: float) -> bool:
        """Wait until it is called; False after so many seconds."""
        return self._uncalled.acquire(timeout=max(timeout_s, 0.001))
