"""Tests keep to their share of processor time: what may take more is named, and is there."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from subprocess import PIPE

import pytest

from tests import shares

BUSY = "import time\nwhile time.process_time() < 0.3: pass"


def test_a_share_is_small_in_the_fast_tests_and_larger_where_it_is_named() -> None:
    large = next(iter(shares.LARGE_S))
    assert shares.share(large, is_fast=True) == shares.share("test_any", is_fast=True) == 0.5
    assert shares.share(large, is_fast=False) > shares.share("test_any", is_fast=False) == shares.SHARE_S


def test_only_much_other_work_makes_a_machine_crowded(monkeypatch: pytest.MonkeyPatch) -> None:
    cores = os.cpu_count() or 1
    for load, crowded in ((2.0 * cores, False), (4.0 * cores, True)):
        monkeypatch.setattr(os, "getloadavg", lambda load=load: (load, load, load))
        assert shares.is_crowded() is crowded


def test_a_machine_that_is_half_as_quick_may_take_twice_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    def clock_of(work_s: float) -> Callable[[], float]:
        return (work_s * (reading // 2 + reading % 2) for reading in count()).__next__

    monkeypatch.setattr(shares, "fixed_work", lambda: None)
    assert shares.slowness(clock_of(shares.FIXED_WORK_S * 2)) == pytest.approx(2)
    assert shares.slowness(clock_of(shares.FIXED_WORK_S / 2)) == 1, "a quick machine has the share of ours"


def test_what_may_take_more_is_a_test() -> None:
    texts = [path.read_text(encoding="utf-8") for path in Path(__file__).parent.rglob("test_*.py")]
    tests = {name for text in texts for name in re.findall(r"^def (test_\w+)", text, re.MULTILINE)}
    assert shares.LARGE_S.keys() <= tests


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux")
def test_what_a_process_did_before_is_charged_to_no_test_that_ends_it() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", f"{BUSY}\nprint(flush=True)\ninput()"], stdin=PIPE, stdout=PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        meter = shares.Meter(lambda: shares._used_s(is_in_browser=False))
        process.kill()
    assert meter.took_s(1e9) > 0.2 > meter.took_s(0.2)


def test_what_a_test_starts_itself_is_charged_to_it() -> None:
    meter = shares.Meter(lambda: shares._used_s(is_in_browser=False))
    subprocess.run([sys.executable, "-c", BUSY], check=True)
    assert meter.took_s(0.2) > 0.2
