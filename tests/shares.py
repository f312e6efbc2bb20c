"""Holds each test to its share of processor time, so that `make test-fast` and `make test` stay within theirs.

A share is in seconds of our machine. What takes more is set against a fixed piece of work, done right after it: where
that takes twice as long as on ours, because the machine is slower or others use its caches, so may the test. On a
crowded machine no share is held. Counted is the test without its fixtures: in this process, of the whole suite also in
those that it started and waited for, and for a browser test in the browser and the site too.
Of a process that a test before has started and this one ends, all would count that it did before: then, and in a fast
test always, this process alone counts.
"""

import hashlib
import json
import os
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from statistics import median

import psutil
import pytest

# A fast test: most take a hundredth of it.
FAST_S = 0.5
# Any other that is not left to `make test-long`.
SHARE_S = 20.0
# What `fixed_work` takes on our machine: 0.17 to 0.22 s, alone as well as beside another.
FIXED_WORK_S = 0.2
# What begins so is run once more (`--only-rerun`): the first of its kind in a process also pays for what is loaded.
OVERRUN = "took processor time:"
# Processes that want a core, for each core, above which a machine is crowded; the suite itself makes about two.
CROWDED = 3.0
# What holds more than one promise at once, because getting there takes longer than holding each.
LARGE_S = {
    "test_all_that_the_pages_say_of_a_site_of_ones_own_works": 120.0,
    "test_every_page_is_clean_and_accessible_light_dark_and_narrow": 90.0,
    "test_an_auditor_finds_and_understands_a_failure_and_passes_it_on": 60.0,
    "test_a_key_is_added_asked_for_renamed_and_removed": 45.0,
    "test_a_cluster_that_hangs_or_ends_is_started_again_and_the_end_ends_all": 60.0,
    "test_no_page_of_the_admin_shows_a_record_without_recording_the_look": 45.0,
    "test_every_call_answers_as_described": 45.0,
}


def share(name: str, *, is_fast: bool) -> float:
    """The seconds that a test of this name may take."""
    return FAST_S if is_fast else LARGE_S.get(name, SHARE_S)


def is_crowded() -> bool:
    """Whether so much else ran in the last minute that processor time says more of that than of a test."""
    return os.getloadavg()[0] > CROWDED * (os.cpu_count() or 1)


def fixed_work() -> None:
    """Run through much of what tests run through: objects, text, sorting, digests; some 20 MB of memory."""
    rows = [{"id": i, "name": f"record {i}", "tags": ["a", "b", str(i)], "part": i / 3} for i in range(20_000)]
    text = json.dumps(rows)
    sorted(json.loads(text), key=lambda row: row["name"])
    hashlib.sha256(text.encode()).digest()


def slowness(clock: Callable[[], float] = time.process_time) -> float:
    """How many times as long this machine takes now as ours, by `clock` in seconds; 1 also for a quicker machine."""
    took = []
    for _ in range(5):
        begun = clock()
        fixed_work()
        took.append(clock() - begun)
    return max(1.0, median(took) / FIXED_WORK_S)


class Meter:
    """What has been used since it was made, by `use`: a clock in seconds."""

    def __init__(self, use: Callable[[], float]):
        self._use, self._children = use, _children()
        self._begun, self._own_begun = use(), time.process_time()

    def took_s(self, most: float) -> float:
        """Return the seconds: of this process alone where they are more than `most` and a process of before has ended.

        With that comes all that it ever did.
        """
        took = self._use() - self._begun
        return time.process_time() - self._own_begun if took > most and self._children - _children() else took


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """Fail a test that takes more than its share."""
    is_fast: bool = pyfuncitem.config.option.fast
    is_in_browser = pyfuncitem.get_closest_marker("browser") is not None
    meter = Meter(time.process_time if is_fast else lambda: _used_s(is_in_browser))
    result = yield
    most = share(pyfuncitem.originalname, is_fast=is_fast)
    took = meter.took_s(most)
    if took > most and pyfuncitem.get_closest_marker("long") is None and not is_crowded() and took > most * slowness():
        mend = "mark it slow" if most == FAST_S else "take a sample and mark the whole long"
        pytest.fail(f"{OVERRUN} {took:.2f} s, and may take {most} s: {mend}, or mend it")
    return result


def _used_s(is_in_browser: bool) -> float:
    """What this process has used so far with all that it waited for; with all that it runs now, if that counts."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    running = psutil.Process().children(recursive=True) if is_in_browser else []
    return sum(usage.ru_utime + usage.ru_stime for usage in used) + sum(map(_of_process_s, running))


def _children() -> set[str]:
    """The ids of the processes that this one has started, where the system tells them cheaply."""
    found: set[str] = set()
    for path in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):  # the thread has ended
            found |= set(path.read_text(encoding="ascii").split())
    return found


def _of_process_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)
