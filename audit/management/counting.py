"""Progress of a command on standard error: a bar in a terminal; where many are counted, a line every two seconds."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from django.core.management.base import CommandParser
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from audit.completeness.reconcile import Reconciled, reconcile
from audit.management.bars import bar

LINE_S = 2.0
# How long a command reconciles where nobody says for how long.
RECONCILE_S = 600.0


@contextmanager
def counted(unit: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show how many of how many units are done; yields what is told both."""
    with bar(*_columns(unit)) as progress:
        task = progress.add_task(unit, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def add_seconds(parser: CommandParser) -> None:
    """Add the option that bounds `reconcile_with_bar`."""
    text = f"stop reading and comparing after so long, {RECONCILE_S:.0f} if not given: the next run goes on"
    parser.add_argument("--seconds", type=float, default=RECONCILE_S, help=text)


def reconcile_with_bar(seconds: float) -> Reconciled:
    """Reconcile for at most so long, and say on standard error what is left. Raises what the database raises."""
    shown: dict[str, TaskID] = {}
    with bar(*_columns("{task.description}")) as progress:

        def show(unit: str, done: int, total: int) -> None:
            if unit not in shown:
                shown[unit] = progress.add_task(unit)
            progress.update(shown[unit], completed=done, total=total)

        done = reconcile(seconds=seconds, progress=show)
    if done.left:
        print(f"Left for later: {', '.join(done.left)}. Run it again, or wait for the schedule.", file=sys.stderr)
    return done


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


def _columns(text: str) -> tuple[ProgressColumn, ...]:
    return TextColumn(text), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
