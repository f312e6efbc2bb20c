"""Tests keep to their share of processor time: what may take more is named, and is there."""

import re
import subprocess
from pathlib import Path

import pytest

from tests import shares


def test_a_share_is_small_in_the_fast_tests_and_larger_where_it_is_named() -> None:
    large = next(iter(shares.LARGE_S))
    assert shares.share(large, is_fast=True) == shares.share("test_any", is_fast=True) == 0.5
    assert shares.share(large, is_fast=False) > shares.share("test_any", is_fast=False) == shares.SHARE_S


def test_what_may_take_more_is_a_test() -> None:
    texts = [path.read_text(encoding="utf-8") for path in Path(__file__).parent.rglob("test_*.py")]
    tests = {name for text in texts for name in re.findall(r"^def (test_\w+)", text, re.MULTILINE)}
    assert shares.LARGE_S.keys() <= tests


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux")
def test_what_was_started_is_among_the_children_until_it_has_ended() -> None:
    before = shares._children()
    with subprocess.Popen(["sleep", "60"]) as process:
        assert shares._children() - before == {str(process.pid)}
        process.kill()
    assert shares._children() == before
