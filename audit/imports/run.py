"""run: import a file. It is read and converted while the portion before is recorded, and can be cut off anywhere."""

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from django.db import DatabaseError, connections

from audit.imports import place, take
from audit.imports.converters import Converted, Converters, collecting_seldom
from audit.imports.item import Item
from audit.imports.mapping import Mapping
from audit.imports.place import Place
from audit.imports.read import Events
from audit.imports.reading.opening import STANDARD_INPUT, FileUnreadable, Source, opened
from audit.imports.reading.window import Broken, Window
from audit.imports.take import PORTION, Prepared
from audit.postgres import partitions

# What is told of an import names so many faults, and so many members that nothing maps.
FAULTS_TOLD, UNMAPPED_TOLD = 100, 1_000
# The months for which an import makes partitions, so that old events do not all come into the default one.
MONTHS_MADE = 240
FIRST_YEAR = 1990
MS_OF_A_DAY = 86_400_000
SAVED_EVERY_S = 1.0
# The thread that records has moments of work between PostgreSQL's answers. Python would let it wait for 5 ms each time,
# for the thread that converts never waits for anything.
SWITCH_S = 0.0002


class Fault(NamedTuple):
    """An event that was not recorded: where it stood, what became of it, and why."""

    place: str
    state: str
    errors: dict[str, str]


@dataclass
class Summary:
    """What became of the events of a file."""

    name: str
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)
    # Members that the mapping does not look at, each with how many events have it.
    unmapped: Counter[str] = field(default_factory=Counter)
    # What was taken before, by a run that was cut off.
    began_at: Place | None = None
    digest: str = ""
    # Why it was not read to its end; "" where it was.
    broken: str = ""
    is_whole: bool = False
    # Of the duplicates, those of records that a purge removed.
    purged: int = 0
    lines: int = 0

    @property
    def events(self) -> int:
        return self.counts.total()


class _Portion(NamedTuple):
    """Events that are taken together, and the place in the file that is reached with them."""

    prepared: Prepared
    place: Place


def run(
    name: str,
    mapping: Mapping,
    *,
    writer: str,
    dry_run: bool = False,
    stop: threading.Event | None = None,
    progress: Callable[[Summary, Source], None] | None = None,
    converters: Converters | None = None,
) -> Summary:
    """Import a file by its path, or standard input by `-`; a `dry_run` converts alone, and keeps nothing.

    `converters` are of the same mapping and writer; without them all is converted in this process.

    Raises `FileUnreadable` where it cannot be opened; `ConverterEnded`, and `NothingKept` where neither PostgreSQL nor
    the queue take events: what was taken before is kept, and the next run goes on. A file that ends in its middle, or
    is not what its format says, is imported as far as it can be read: `Summary.broken` says why not further.
    """
    summary = Summary(name)
    key = "" if dry_run or name == STANDARD_INPUT else place.key_of(name, mapping, writer)
    act = _Import(mapping, writer, key, summary, converters or Converters(0, mapping, writer), dry_run=dry_run)
    saved = place.find(key) if key else None
    if saved is not None:
        with opened(name) as source:
            window = Window(source)
            if window.skip(saved.offset, saved.digest, saved.line):
                summary.began_at = saved
                act.read(window, source, stop, progress)
                return summary
    with opened(name) as source:
        act.read(Window(source), source, stop, progress)
    return summary


def _reached(events: Events, window: Window) -> Place:
    return Place(window.offset, window.line, window.digest(), dict(events.state))


@contextmanager
def _switching(seconds: float) -> Iterator[None]:
    """Let threads take turns that often."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(seconds)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


class _Import:
    """An import of one file: portions are read here, and recorded by a thread beside."""

    def __init__(
        self, mapping: Mapping, writer: str, key: str, summary: Summary, converters: Converters, *, dry_run: bool
    ):
        self._mapping, self._writer, self._key, self._dry_run = mapping, writer, key, dry_run
        self._converters = converters
        self._summary = summary
        self._days: set[int] = set()
        self._months: set[datetime] = set()
        self._saved_at = 0.0
        # Whether events may be here already: of the first portion, and after one of which some were.
        self._looks = True

    def read(
        self,
        window: Window,
        source: Source,
        stop: threading.Event | None,
        progress: Callable[[Summary, Source], None] | None,
    ) -> None:
        summary, began = self._summary, self._summary.began_at
        events = Events(window, self._mapping, dict(began.state) if began else None)
        with _switching(SWITCH_S), collecting_seldom(), ThreadPoolExecutor(1) as beside:
            waiting: Future[None] | None = None
            try:
                for items, reached, converted in self._converters.convert(self._portions(events, window)):
                    portion = self._portion(items, reached, converted)
                    if waiting is not None:
                        waiting.result()
                    waiting = beside.submit(self._bring, portion)
                    if progress is not None:
                        progress(summary, source)
                    if stop is not None and stop.is_set():
                        break
                else:
                    summary.is_whole = True
            except (Broken, FileUnreadable) as error:
                summary.broken = f"after line {window.line}: {error}"
            finally:
                if waiting is not None:
                    waiting.result()
                beside.submit(connections.close_all).result()
        summary.lines, summary.digest = window.line, window.digest()
        if summary.is_whole and self._key:
            place.forget(self._key)

    def _portions(self, events: Events, window: Window) -> Iterator[tuple[Sequence[Item], Place]]:
        """Yield portions, each with the place that is reached with it; what was read before a fault is one as well."""
        items: list[Item] = []
        source = iter(events)
        fault: Exception | None = None
        while fault is None:
            try:
                piece = None if items else events.piece(PORTION)
                item = next(source, None) if piece is None else None
            except (Broken, FileUnreadable) as error:
                fault = error
                break
            if piece is not None:
                yield piece, _reached(events, window)
                continue
            if item is None:
                break
            items.append(item)
            if len(items) >= PORTION and events.is_settled:
                yield items, _reached(events, window)
                items = []
        if items:
            yield items, _reached(events, window)
        if fault is not None:
            raise fault

    def _portion(self, items: Sequence[Item], reached: Place, converted: Converted) -> _Portion:
        counted = self._summary.unmapped
        for name, count in converted.unmapped.items():
            if name in counted or len(counted) < UNMAPPED_TOLD:
                counted[name] += count
        prepared = Prepared(items, converted.events, converted.faulty, self._mapping, self._writer)
        return _Portion(prepared, reached)

    def _bring(self, portion: _Portion) -> None:
        """Take a portion, and save the place that is reached. Runs in the thread beside. Raises `NothingKept`."""
        if self._dry_run:
            self._count_dry(portion.prepared)
            return
        self._make_months(portion.prepared)
        counts: Counter[str] = Counter()
        for taken in take.bring(portion.prepared, looks=self._looks):
            counts[taken.state] += 1
            self._summary.purged += taken.is_purged
            if taken.errors:
                self._note(Fault(taken.item.place, taken.state, taken.errors))
        self._summary.counts += counts
        self._looks = counts["duplicate"] > 0
        if self._key and time.monotonic() - self._saved_at > SAVED_EVERY_S:
            place.save(self._key, portion.place)
            self._saved_at = time.monotonic()

    def _count_dry(self, prepared: Prepared) -> None:
        self._summary.counts += Counter({"mapped": len(prepared.events), "not mapped": len(prepared.faulty)})
        for number, errors in prepared.faulty.items():
            self._note(Fault(prepared.items[number].place, "not mapped", errors))

    def _note(self, fault: Fault) -> None:
        if len(self._summary.faults) < FAULTS_TOLD:
            self._summary.faults.append(fault)

    def _make_months(self, prepared: Prepared) -> None:
        """Make partitions for the months of old events. Where that is not possible now the default one takes them."""
        times = {each.id.int >> 80 for each in prepared.events.values()}
        for day in {milliseconds // MS_OF_A_DAY for milliseconds in times} - self._days:
            self._days.add(day)
            month = datetime.fromtimestamp(day * MS_OF_A_DAY / 1000, UTC).replace(day=1)
            if month.year >= FIRST_YEAR and month not in self._months and len(self._months) < MONTHS_MADE:
                self._months.add(month)
                with suppress(DatabaseError):
                    partitions.make_past(month)
