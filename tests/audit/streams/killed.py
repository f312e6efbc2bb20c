"""A streamer that kills itself with SIGKILL at a step that is asked for."""

import os
import signal
import subprocess
import sys
import time

from audit.streams import cursor
from tests.audit.streams.conftest import Scene

# Where the process kills itself, at the third time that it gets there.
STEPS = {
    "before a batch is sent": "stream._Streamer._give",
    "before the cursor moves": "cursor.Cursor.move",
    "while a file is written": "targets.file.os.fsync",
}
KILLED = """
import os, signal, sys, threading
import django
django.setup()
import audit.streams.stream, audit.streams.targets.file
from audit.streams import kinds
name, place = sys.argv[1:]
*path, attribute = place.split(".")
holder = sys.modules["audit.streams"]
for part in path:
    holder = getattr(holder, part)
before, times = getattr(holder, attribute), [0]
def dies(*arguments, **named):
    times[0] += 1
    if times[0] == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return before(*arguments, **named)
setattr(holder, attribute, dies)
audit.streams.stream.stream(kinds.plan_of(name), threading.Event(), follow=False)
"""


def environment(scene: Scene) -> dict[str, str]:
    return os.environ | {"STREAMS_FILE": str(scene.file), "METRICS_PORT": "0"}


def killed_at(step: str, scene: Scene) -> None:
    command = [sys.executable, "-c", KILLED, scene.name, STEPS[step]]
    run = subprocess.run(command, env=environment(scene), capture_output=True, text=True)
    assert run.returncode == -signal.SIGKILL, run.stderr
    until(lambda: is_free(scene))


def is_free(scene: Scene) -> bool:
    """Whether PostgreSQL has noticed that the streamer is gone, which it does when it looks at the connection again."""
    try:
        with cursor.hold(scene.name):
            return True
    except cursor.StreamHeld:
        return False


def until(holds: object, seconds: float = 120) -> None:
    assert callable(holds)
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, "it did not come about"
        time.sleep(0.01)
