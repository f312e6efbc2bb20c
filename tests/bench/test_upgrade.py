"""An earlier commit's store is upgraded to this one while events are sent."""

import sys

import pytest

from tests.bench.conftest import run


@pytest.mark.slow
@pytest.mark.long
def test_nothing_is_lost_and_next_to_nothing_parked_while_a_filled_store_is_upgraded() -> None:
    variables = ["RECORDS=2000", "SECONDS=3"]
    done = run("make", "--no-print-directory", "-o", ".venv/ready", "upgrade", *variables)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "VERIFIED" in done.stdout and "nothing lost, duplicated or altered" in done.stdout


@pytest.mark.slow
def test_a_commit_to_come_from_that_git_does_not_know_is_refused_at_once() -> None:
    done = run(sys.executable, "-m", "bench.drills.upgrade", "--from", "no-such-commit")
    assert done.returncode == 2
    assert "git knows no commit 'no-such-commit' here" in done.stderr
