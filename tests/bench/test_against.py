"""Another commit and the peers are measured beside this one, in turns, in one run."""

import json
import sys
from pathlib import Path

import pytest

from tests.bench.conftest import run


@pytest.mark.slow
@pytest.mark.long
def test_a_commit_and_the_peers_are_in_the_table(tmp_path: Path) -> None:
    variables = ["SHARE=0.02", "AGAINST=HEAD", "PART=single batch", f"OUT={tmp_path}"]
    done = run("make", "--no-print-directory", "-o", ".venv/ready", "bench", *variables)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    rows = json.loads((tmp_path / "ingest.json").read_text())["rows"]
    measured = {(row["name"], row["beside"]) for row in rows if len(row["values"]) == 1}
    assert {("POST events", "HEAD"), ("POST events", "naive build"), ("drain, one drainer", "HEAD")} <= measured
    assert {path.name for path in tmp_path.iterdir()} == {"ingest.json", "ingest.svg", "rates.svg"}


@pytest.mark.slow
def test_a_commit_that_git_does_not_know_is_refused_at_once() -> None:
    done = run(sys.executable, "-m", "bench.ingest", "--against", "no-such-commit")
    assert done.returncode == 2
    assert "git knows no commit 'no-such-commit' here" in done.stderr
