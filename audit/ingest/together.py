"""Do what threads ask for at the same time at once: one of them does it for all that wait.

Whoever finds nobody at work begins, and what is asked for meanwhile is done next, together. So a single request costs
what it did, and many cost little more than one. Where several came just before, as many are waited for as long as they
keep coming: clients that were answered together send again almost together, and the first would go alone.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Abandoned(Exception):
    """The thread that did the work for this one broke off: what it did is unknown."""


class _Turn(Generic[Item, Answer]):
    """What one thread asked for, and what came of it."""

    __slots__ = ("answer", "error", "item", "woken")

    def __init__(self, item: Item):
        self.item = item
        self.answer: list[Answer] = []
        self.error: BaseException | None = None
        # Held until there is an answer, or it is this thread's turn to work.
        self.woken = threading.Lock()
        self.woken.acquire()


class Together(Generic[Item, Answer]):
    """Calls `work` with up to `most` items of waiting threads, in the order in which they came, one call at a time.

    `work` returns an answer for each item. It bounds its own time, and nobody waits longer than for the call before,
    for others until `gather_s` after its end, `gap_s` for each that comes, and for their own call. What `work` raises
    is raised as `Abandoned` in the threads that it worked for.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Sequence[Answer]],
        *,
        most: int,
        gather_s: float = 0.0,
        gap_s: float = 0.0,
    ):
        self._work = work
        self._most = most
        self._gather_s, self._gap_s = gather_s, gap_s
        self._lock = threading.Lock()
        self._waiting: deque[_Turn[Item, Answer]] = deque()
        self._at_work = False
        # So many took part in the last call or waited when it ended (monotonic): until shortly after they are expected.
        self._expected, self._ended = 1, float("-inf")
        # Whose turn it is to work, while the others are waited for.
        self._gathering: _Turn[Item, Answer] | None = None

    def __call__(self, item: Item) -> Answer:
        """Return the answer for this item. Raises what `work` raised, or `Abandoned` where another thread called it."""
        turn = _Turn[Item, Answer](item)
        with self._lock:
            self._waiting.append(turn)
            begins, self._at_work = not self._at_work, True
            if self._gathering is not None and len(self._waiting) >= self._expected:
                self._gathering.woken.release()
                self._gathering = None
        if not begins:
            turn.woken.acquire()
        if not turn.answer and turn.error is None:
            self._gather(turn)
            self._do()
        if turn.error is not None:
            raise Abandoned from turn.error
        return turn.answer[0]

    def _gather(self, turn: _Turn[Item, Answer]) -> None:
        """Wait, before it works, for as many as before, until none came for `gap_s` or `gather_s` are over."""
        here = 0
        while True:
            with self._lock:
                left_s = self._ended + self._gather_s - time.monotonic()
                if left_s <= 0 or not here < len(self._waiting) < self._expected:
                    self._gathering = None
                    return
                here, self._gathering = len(self._waiting), turn
            if turn.woken.acquire(timeout=min(left_s, self._gap_s)):
                return

    def _do(self) -> None:
        """Work for the threads that wait, the caller first; then the next of those that came meanwhile begins."""
        with self._lock:
            turns = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._most))]
        try:
            for turn, answer in zip(turns, self._work([turn.item for turn in turns]), strict=True):
                turn.answer.append(answer)
        except BaseException as error:
            for turn in turns[1:]:
                turn.error = error
            raise
        finally:
            with self._lock:
                self._expected = min(len(turns) + len(self._waiting), self._most)
                self._ended = time.monotonic()
                following = self._waiting[0] if self._waiting else None
                self._at_work = following is not None
            if following is not None:
                following.woken.release()
            for turn in turns[1:]:
                turn.woken.release()
