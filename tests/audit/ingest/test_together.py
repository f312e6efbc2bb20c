"""What threads ask for at the same time is done together, in their order, and nobody is left waiting."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from audit.ingest.together import Abandoned, Together

# No lock waits for so long: whoever tries to raises `OverflowError`.
TOO_LONG_S = 1e12


class Work:
    """Doubles numbers; the first call waits until it is let go, and what is negative breaks it."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.let_go = threading.Event()

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.calls.append([*numbers])
        if len(self.calls) == 1:
            self.let_go.wait()
        if min(numbers) < 0:
            raise KeyboardInterrupt
        return [2 * number for number in numbers]


def ask_in_turn(together: Together[int, int], numbers: Sequence[int], pool: ThreadPoolExecutor) -> list[Future[int]]:
    """Each number from a thread of its own, the next one once the one before it waits."""
    asked = []
    for place, number in enumerate(numbers):
        asked.append(pool.submit(together, number))
        while len(together._waiting) != place or not together._at_work:
            assert not asked[0].done()
    return asked


def test_one_who_comes_alone_is_served_at_once_and_alone() -> None:
    work = Work()
    work.let_go.set()
    together = Together(work, most=8)
    assert [together(1), together(2)] == [2, 4]
    assert work.calls == [[1], [2]]


def test_those_who_wait_are_served_together_in_their_order_and_no_more_than_fit() -> None:
    work = Work()
    together = Together(work, most=3)
    with ThreadPoolExecutor(6) as pool:
        asked = ask_in_turn(together, range(6), pool)
        work.let_go.set()
        assert [future.result() for future in asked] == [0, 2, 4, 6, 8, 10]
    assert work.calls == [[0], [1, 2, 3], [4, 5]]


def test_whoever_breaks_off_leaves_nobody_waiting() -> None:
    work = Work()
    together = Together(work, most=3)
    with ThreadPoolExecutor(6) as pool:
        asked = ask_in_turn(together, [0, 1, -1, 2, 3], pool)
        work.let_go.set()
        errors = [type(future.exception()) for future in asked]
    assert errors == [type(None), KeyboardInterrupt, Abandoned, Abandoned, type(None)]
    assert together(4) == 8
    with pytest.raises(KeyboardInterrupt):
        together(-1)
    assert together(4) == 8


def two_are_expected(together: Together[int, int], work: Work, pool: ThreadPoolExecutor) -> list[Future[int]]:
    """Two came together, and the first of them has its answer."""
    asked = ask_in_turn(together, [0, 1], pool)
    work.let_go.set()
    assert asked[0].result() == 0
    return asked


def test_as_many_as_came_before_are_waited_for() -> None:
    work = Work()
    together = Together(work, most=8, gather_s=60, gap_s=60)
    with ThreadPoolExecutor(4) as pool:
        _, second = two_are_expected(together, work, pool)
        assert [together(2), second.result()] == [4, 2]
        assert [*pool.map(together, [3, 4])] == [6, 8]
    assert [*map(sorted, work.calls)] == [[0], [1, 2], [3, 4]]


def test_whoever_is_expected_and_does_not_come_holds_nobody_up_for_long() -> None:
    work = Work()
    together = Together(work, most=8, gather_s=TOO_LONG_S, gap_s=0.001)
    with ThreadPoolExecutor(4) as pool:
        _, second = two_are_expected(together, work, pool)
        assert second.result() == 2
    assert together(2) == 4
    assert work.calls == [[0], [1], [2]]


def test_one_who_comes_long_after_many_is_served_at_once() -> None:
    work = Work()
    work.let_go.set()
    together = Together(work, most=8, gather_s=TOO_LONG_S, gap_s=TOO_LONG_S)
    together._expected, together._ended = 8, time.monotonic() - 2 * TOO_LONG_S
    assert together(1) == 2
