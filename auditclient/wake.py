"""Wake a thread from anywhere."""

from queue import Empty, SimpleQueue


class Wake:
    """Wakes the sender's thread, from any thread, from a signal handler also in the middle of another call."""

    def __init__(self) -> None:
        # The only queue whose `put` may be interrupted by itself.
        self._calls: SimpleQueue[None] = SimpleQueue()
        self._is_called = False

    def call(self) -> None:
        """Wake it, if it is not awake already."""
        if not self._is_called:
            self._is_called = True
            self._calls.put(None)

    def wait(self, timeout_s: float) -> bool:
        """Wait until it is called; False after so many seconds."""
        try:
            self._calls.get(timeout=max(timeout_s, 0.001))
        except Empty:
            return False
        finally:
            self._is_called = False
        return True
