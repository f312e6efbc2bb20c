"""A streamer is killed with SIGKILL, at each step and at any moment: every record is there, in order, none left out."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.audit.streams.conftest import FarEnd, Scene
from tests.audit.streams.killed import STEPS, environment, killed_at, until


def of_folder(folder: Path) -> list[int]:
    lines = [line for path in sorted(folder.iterdir()) for line in path.read_bytes().splitlines()]
    return [json.loads(line)["leaf_index"] for line in lines]


def is_gap_free(leaves: list[int], first: int, last: int) -> bool:
    """Whether all are there, and each that comes for the first time follows the one before."""
    seen = first
    for leaf in leaves:
        if leaf > seen:
            return False
        seen = max(seen, leaf + 1)
    return seen == last


@pytest.mark.parametrize("step", [*STEPS][:2])
def test_a_streamer_that_is_killed_at_a_step_loses_nothing_over_http(scene: Scene, far_end: FarEnd, step: str) -> None:
    scene.has(type="http", url=far_end.url, batch_records=3)
    scene.records(14)
    killed_at(step, scene)
    row = scene.row()
    assert scene.first < row.position < scene.first + 14
    scene.once()
    assert is_gap_free(far_end.leaves(), scene.first, scene.row().position)
    # What was sent and not noted is sent again, and no more than that.
    assert len(far_end.leaves()) - len(set(far_end.leaves())) == (3 if step == "before the cursor moves" else 0)


@pytest.mark.parametrize("step", STEPS)
def test_a_file_has_each_record_once_wherever_its_streamer_is_killed(scene: Scene, tmp_path: Path, step: str) -> None:
    scene.has(type="file", folder=str(tmp_path / "lake"), batch_records=3)
    scene.records(14)
    killed_at(step, scene)
    scene.once()
    assert of_folder(tmp_path / "lake") == [*range(scene.first, scene.row().position)]


# As in this process, what waits for seconds waits for a moment.
SERVICE = """
import sys
import django
django.setup()
from audit.streams import stream
stream.BACKOFF_S = stream.HELD_POLL_S = stream.POLL_S = 0.01
stream.BACKOFF_MOST_S = 0.05
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""


@contextmanager
def service(scene: Scene) -> Iterator["subprocess.Popen[bytes]"]:
    """`manage.py stream run`, killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVICE, "stream", "run", scene.name],
        env=environment(scene),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()


@pytest.mark.slow
def test_a_service_that_is_killed_again_and_again_beside_a_target_that_fails_in_turns(
    scene: Scene, far_end: FarEnd
) -> None:
    from tests.audit.streams.conftest import Answer

    scene.has(type="http", url=far_end.url, batch_records=2)
    answers = iter([Answer(), Answer(429), Answer(), Answer(500), Answer(cut=True)] * 1_000)
    far_end.usual = lambda path, body: next(answers)
    scene.records(30)
    far_end.slow_s = 0.01
    for wanted in (4, 10, 16):
        with service(scene) as process:
            until(lambda wanted=wanted: len(set(far_end.leaves())) >= wanted)  # type: ignore[misc]
            process.kill()
    scene.records(6)
    with service(scene) as process:
        until(lambda: len(set(far_end.leaves())) >= 36)
        process.terminate()
        assert process.wait(60) == 0
    last = scene.row().position
    assert last >= scene.first + 36
    assert is_gap_free(far_end.leaves(), scene.first, last)
