"""Being told to stop: an event that a signal may set whatever the thread that it interrupts is doing."""

import math
import signal
import threading
import time
from collections.abc import Iterable
from contextlib import suppress

# The system may give a signal to any thread, also to one that begins or ends just then. The main thread, in which
# Python calls the handler, then sleeps on, so it never sleeps for longer than this.
LOOK_S = 0.5


class Told(threading.Event):
    """An event whose `set` may be called by a handler of signals.

    The handler runs in the thread that waits for the event. `threading.Event` takes a lock in both, and a signal that
    comes while `wait` has it would have that thread wait for itself for ever. Here a lock is held until it is set:
    nothing but the system's own call is under way while it is taken. (The `get` of a `SimpleQueue` waits for ever in
    Python 3.11 and 3.12 when its time passes before it sleeps.)
    """

    def __init__(self) -> None:
        super().__init__()
        self._is_told = False
        self._untold = threading.Lock()
        self._untold.acquire()

    def is_set(self) -> bool:
        return self._is_told

    def set(self) -> None:
        self._is_told = True
        self._release()

    def wait(self, timeout: float | None = None) -> bool:
        """Return whether it is set, within `timeout` seconds. Each thread that waits wakes the next."""
        ends = math.inf if timeout is None else time.monotonic() + timeout
        while not self._is_told and (left_s := ends - time.monotonic()) > 0:
            if self._untold.acquire(timeout=min(left_s, LOOK_S)):
                self._release()
        return self._is_told

    def _release(self) -> None:
        with suppress(RuntimeError):  # it is released already
            self._untold.release()


def join(threads: Iterable[threading.Thread]) -> None:
    """Wait for threads to end, in the main thread of a process that is to hear signals meanwhile."""
    for thread in threads:
        while thread.is_alive():
            thread.join(LOOK_S)


def stop_at_signal() -> Told:
    """An event that SIGTERM and SIGINT set: what is in hand is finished, and nothing new begun."""
    stop = Told()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
