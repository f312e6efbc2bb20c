"""Drainers are timed until the last of them is done, and what they cost is read before any of them ends."""

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest

from bench.ingest.batch import drained, ready


@dataclass
class OfTheTests:
    """This commit, on the servers of the tests. Its queue is its own: a drainer fails where something is left."""

    python: str = sys.executable
    root: Path = Path(__file__).parent.parent.parent
    env: dict[str, str] = field(default_factory=lambda: os.environ | {"DLQ_PREFIX": f"drained-{uuid4()}"})


@pytest.mark.slow
def test_drainers_run_until_all_of_them_have_drained() -> None:
    """The end of a process takes as long as a tenth of the bench: it belongs to no event."""
    with ready(OfTheTests(), 2) as waiting:
        took = drained(waiting)
        assert len(took) == 2 and min(took) > 0
        assert [process.poll() for process in waiting] == [None, None]
    assert [process.poll() for process in waiting] == [0, 0]
