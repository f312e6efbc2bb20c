"""Being told to stop: an event that a signal may set whatever the thread that it interrupts is doing."""

import signal
import threading
from contextlib import suppress
from queue import Empty, SimpleQueue


class Told(threading.Event):
    """An event whose `set` may be called by a handler of signals.

    The handler runs in the thread that waits for the event. `threading.Event` takes a lock in both, and a signal that
    comes while `wait` has it would have that thread wait for itself for ever; a `SimpleQueue` is made for that.
    """

    def __init__(self) -> None:
        super().__init__()
        self._is_told = False
        self._woken: SimpleQueue[None] = SimpleQueue()

    def is_set(self) -> bool:
        return self._is_told

    def set(self) -> None:
        self._is_told = True
        self._woken.put(None)

    def wait(self, timeout: float | None = None) -> bool:
        """Return whether it is set, within `timeout` seconds. Each thread that waits wakes the next."""
        if not self._is_told:
            with suppress(Empty):
                # What is left of a time may be less than none.
                self._woken.get(timeout=None if timeout is None else max(timeout, 0.0))
                self._woken.put(None)
        return self._is_told


def stop_at_signal() -> Told:
    """An event that SIGTERM and SIGINT set: what is in hand is finished, and nothing new begun."""
    stop = Told()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
