"""The drill of failovers: what it calls a fork, and how it counts the time without a promise."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from audit.formats.note import Signer, TreeHead, join
from bench.failover import heads, judge
from bench.failover.acts import POSTGRES, Done
from bench.failover.writers import Answer
from bench.fleet import ROOT

A, B, C = (bytes([number]) * 32 for number in range(3))
THERE = {1: A, 2: B}


def head(size: int, root: bytes) -> TreeHead:
    return TreeHead("drill.example/log", size, root)


def test_heads_that_are_prefixes_of_the_log_are_no_fork() -> None:
    assert heads.forks([head(1, A), head(2, B), head(1, A)], THERE.get) == []


@pytest.mark.parametrize(
    ("signed", "complaint"),
    [
        ([head(1, A), head(1, C)], "2 heads of 1 records disagree with each other"),
        ([head(2, C)], "the head of 2 records is not of the log that is there"),
        ([head(3, A)], "a head of 3 records was signed, and the log is shorter"),
    ],
)
def test_each_head_that_is_of_another_log_is_named(signed: list[TreeHead], complaint: str) -> None:
    assert heads.forks(signed, THERE.get) == [complaint]


def test_what_a_sealer_wrote_down_is_read_again(tmp_path: Path) -> None:
    text, signer = head(2, B).text, Signer("drill.example/log", bytes(32))
    file = tmp_path / "heads"
    file.write_text(json.dumps(join(text, [signer.sign(text)])) + "\n", encoding="utf-8")
    assert heads.read([file, tmp_path / "of a sealer that signed nothing"]) == [head(2, B)]


def test_the_longest_time_without_a_promise_is_counted_from_the_act_to_its_end() -> None:
    done = Done("postgresql: frozen", 10.0, ["db1"], ended=30.0)
    answers = [Answer(9, 201), Answer(11, 201), Answer(12, 202), Answer(15, 503), Answer(18, 202), Answer(26, 200)]
    cost = judge.cost(done, answers)
    assert (cost.unstored_s, cost.unpromised_s, cost.refused) == (15.0, 8.0, 1)


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("etcd"), reason="needs root, and etcd")
def test_a_primary_that_loses_power_costs_nothing() -> None:
    command = [sys.executable, "-m", "bench.failover", "--only", "postgresql: its host loses power"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "its host loses power" in POSTGRES
