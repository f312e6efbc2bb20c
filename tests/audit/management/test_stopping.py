"""A process that is told to stop stops, whatever its thread is doing when the signal comes."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from audit.management.stopping import Told

# A signal comes while the thread goes into its wait and out of it, again and again.
SIGNALLED = """
import signal
from audit.management.stopping import Told
for turn in range(5_000):
    told = Told()
    signal.signal(signal.SIGALRM, lambda *_: told.set())
    signal.setitimer(signal.ITIMER_REAL, 0.00005 + turn % 50 * 0.000002)
    while not told.wait(0.00001):
        pass
print("told")
"""


# The system gives a signal to a thread that is not the main one.
ELSEWHERE = """
import signal, sys, threading, time
from audit.management.stopping import join, stop_at_signal
told = stop_at_signal()
thread = threading.Thread(target=told.wait)
thread.start()
def signalled():
    time.sleep(0.2)
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    time.sleep(3600)
threading.Thread(target=signalled, daemon=True).start()
join([thread]) if sys.argv[1] == "join" else told.wait()
print("told", flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("waits", ["join", "wait"])
def test_a_signal_that_another_thread_is_given_is_heard(waits: str) -> None:
    command = [sys.executable, "-c", ELSEWHERE, waits]
    done = subprocess.run(command, timeout=60, capture_output=True, text=True, check=True)
    assert done.stdout == "told\n"


@pytest.mark.slow
def test_a_signal_that_comes_at_any_moment_of_the_wait_is_heard() -> None:
    done = subprocess.run([sys.executable, "-c", SIGNALLED], timeout=120, capture_output=True, text=True, check=True)
    assert done.stdout == "told\n"


def test_each_of_several_threads_that_wait_is_woken() -> None:
    told, pool = Told(), ThreadPoolExecutor(3)
    with pool:
        waiting = [pool.submit(told.wait, 60) for _ in range(3)]
        assert not told.is_set()
        told.set()
        assert [thread.result() for thread in waiting] == [True, True, True]
    assert told.is_set() and told.wait(0)


def test_who_waits_long_enough_goes_on_untold() -> None:
    assert Told().wait(0.001) is False


@pytest.mark.slow
def test_who_may_wait_only_for_a_moment_always_goes_on() -> None:
    waits = "from audit.management.stopping import Told\nfor _ in range(20_000): Told().wait(0.000003)"
    command = [sys.executable, "-c", f"{waits}\nprint('went on')"]
    done = subprocess.run(command, timeout=60, capture_output=True, text=True, check=True)
    assert done.stdout == "went on\n"


def test_who_has_no_time_left_does_not_wait() -> None:
    assert Told().wait(-1.0) is False
