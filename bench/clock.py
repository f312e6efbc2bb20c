"""A clock of this process that a drill may put wrong while it runs: the offset in seconds is in the file DRILL_CLOCK.

For drills alone: it replaces `now` in the interpreter's own datetime type, so that C code and every module see it.
"""

import ctypes
import datetime
import gc
import os
import time
from pathlib import Path
from typing import Any

LOOK_EVERY_S = 0.2


class Offset:
    """How many seconds the clock is ahead; the file is read a few times a second."""

    def __init__(self, file: Path, usual_s: float):
        self._file, self._usual_s = file, usual_s
        self._seconds, self._read_at = usual_s, -LOOK_EVERY_S

    def seconds(self) -> float:
        """The offset as it is now; 0 of the file where it is not there, or half written."""
        if time.monotonic() - self._read_at > LOOK_EVERY_S:
            self._read_at = time.monotonic()
            try:
                self._seconds = self._usual_s + float(self._file.read_text())
            except (OSError, ValueError):
                self._seconds = self._usual_s
        return self._seconds


def install(usual_s: float = 0.0) -> None:
    """Let this process live by the offset in DRILL_CLOCK, and by `usual_s` beside it."""
    offset = Offset(Path(os.environ.get("DRILL_CLOCK", os.devnull)), usual_s)
    right_time, right_now = time.time, datetime.datetime.now

    def now(tz: datetime.tzinfo | None = None) -> datetime.datetime:
        return right_now(tz) + datetime.timedelta(seconds=offset.seconds())

    time.time = lambda: right_time() + offset.seconds()
    members: dict[str, Any] = gc.get_referents(datetime.datetime.__dict__)[0]
    members["now"] = staticmethod(now)
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(datetime.datetime))
