"""A thread that sleeps is woken from anywhere, and goes on by itself when its time has passed."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from auditclient.wake import Wake

# The time has passed before the thread sleeps, as on a machine that stood still.
TIMED = """
from auditclient.wake import Wake
Wake.wait.__globals__["max"] = lambda *_: 0.000001
for _ in range(20_000):
    assert not Wake().wait(0)
print("went on")
"""


def test_who_is_called_wakes_once_and_is_not_called_any_more() -> None:
    wake = Wake()
    wake.call()
    wake.call()
    assert wake.wait(60)
    assert not wake.wait(0)


def test_who_sleeps_is_woken_by_another_thread() -> None:
    wake = Wake()
    with ThreadPoolExecutor(1) as pool:
        sleeps = pool.submit(wake.wait, 60)
        wake.call()
        assert sleeps.result()


def test_who_may_sleep_only_for_a_moment_always_goes_on() -> None:
    command = [sys.executable, "-c", TIMED]
    done = subprocess.run(command, timeout=60, capture_output=True, text=True, check=True)
    assert done.stdout == "went on\n"
