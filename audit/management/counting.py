"""The progress of a command that looks at many: a bar in a terminal, a line every two seconds elsewhere."""

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

SECONDS_PER_LINE = 2.0


class Counting:
    """Shows on standard error how many of `size` were looked at, and how many of them match."""

    def __init__(self, size: int):
        found = TextColumn("{task.fields[found]:,} match")
        columns = (TextColumn("looked at"), BarColumn(), MofNCompleteColumn(), found, TimeElapsedColumn())
        self._bar = Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())
        self._task = self._bar.add_task("looked at", total=size, found=0)
        self._size, self._printed = size, time.monotonic()

    def __enter__(self) -> "Counting":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, looked: int, found: int) -> None:
        self._bar.update(self._task, completed=looked, found=found)
        if self._bar.disable and time.monotonic() - self._printed > SECONDS_PER_LINE:
            self._printed = time.monotonic()
            print(f"{looked:,} of {self._size:,} looked at, {found:,} match", file=sys.stderr, flush=True)
