"""Progress of a command on standard error: a bar in a terminal; where many are counted, a line every two seconds."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from audit.completeness.reconcile import reconcile

LINE_S = 2.0


def bar(*columns: ProgressColumn, disable: bool = False) -> Progress:
    """Return a bar on standard error, so that the output can be read by programs."""
    return Progress(*columns, console=Console(stderr=True), disable=disable)


@contextmanager
def counted(unit: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show how many of how many units are done; yields what is told both."""
    columns = (TextColumn(unit), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with bar(*columns) as progress:
        task = progress.add_task(unit, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def reconcile_with_bar() -> None:
    """Reconcile to the end of the log. Raises what the database raises."""
    with counted("records") as show:
        reconcile(progress=show)


class Counting:
    """Shows how many of `size` were examined, and how many of them match."""

    def __init__(self, size: int):
        match = TextColumn("{task.fields[found]:,} match")
        columns = (TextColumn("looked at"), BarColumn(), MofNCompleteColumn(), match, TimeElapsedColumn())
        self._bar = bar(*columns, disable=not sys.stderr.isatty())
        self._task = self._bar.add_task("looked at", total=size, found=0)
        self._size, self._printed_at = size, time.monotonic()

    def __enter__(self) -> "Counting":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, examined: int, matching: int) -> None:
        self._bar.update(self._task, completed=examined, found=matching)
        if self._bar.disable and time.monotonic() - self._printed_at > LINE_S:
            self._printed_at = time.monotonic()
            print(f"{examined:,} of {self._size:,} looked at, {matching:,} match", file=sys.stderr, flush=True)
