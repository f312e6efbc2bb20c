"""The files of PROMETHEUS_MULTIPROC_DIR, in which each process counts.

What processes counted that have ended is kept in one file of each kind: a scrape costs the same, and the folder holds
the same, however many there were.
"""

import fcntl
import os
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, generate_latest, multiprocess
from prometheus_client.metrics_core import Metric
from prometheus_client.mmap_dict import MmapedDict

log = structlog.get_logger(__name__)

# Added up; a gauge of a process that has ended says nothing any more.
ADDED_UP = ("counter", "histogram")
# In place of a process's number: that of no process.
ENDED = 0


def text(folder: Path) -> bytes:
    """What all processes counted, those that have ended too, in Prometheus' text format. Raises `OSError`."""
    with _alone(folder):
        _keep_of_ended(folder)
        registry = CollectorRegistry()
        _Collector(registry, str(folder))  # type: ignore[no-untyped-call]
        return bytes(generate_latest(registry))


class _Collector(multiprocess.MultiProcessCollector):
    """Passes over the file that a process has just made, and written nothing into yet: the library raises."""

    def collect(self) -> Iterable[Metric]:
        files = [str(path) for path in Path(self._path).glob("*.db") if path.stat().st_size]
        metrics: Iterable[Metric] = self.merge(files)  # type: ignore[no-untyped-call]
        return metrics


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One scrape at a time: it removes files that another would be reading."""
    with (folder / "scrape.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _keep_of_ended(folder: Path) -> None:
    ended = [path for path in folder.glob("*_*.db") if _has_ended(_process(path))]
    for kind in ADDED_UP:
        if files := [path for path in ended if path.name.startswith(f"{kind}_")]:
            _add_up(folder / f"{kind}_{ENDED}.db", files)
    # A breaker would seem open for ever.
    for path in ended:
        path.unlink(missing_ok=True)


def _process(path: Path) -> int:
    return int(path.stem.rpartition("_")[2])


def _has_ended(process: int) -> bool:
    if process == ENDED:
        return False
    try:
        os.kill(process, 0)
    except OSError as error:
        return isinstance(error, ProcessLookupError)  # any other says that it is there
    return False


def _add_up(kept: Path, files: Iterable[Path]) -> None:
    """Add what these files say to the file that is kept. Killed before they are removed, they are added once more."""
    sums: dict[str, float] = defaultdict(float)
    for path in (kept, *files):
        for key, value in _values(path):
            sums[key] += value
    new = kept.with_suffix(".new")
    new.unlink(missing_ok=True)
    written = MmapedDict(str(new))  # type: ignore[no-untyped-call]
    for key, value in sums.items():
        written.write_value(key, value, 0.0)  # type: ignore[no-untyped-call]
    written.close()  # type: ignore[no-untyped-call]
    new.replace(kept)


def _values(path: Path) -> list[tuple[str, float]]:
    """What a file says; nothing, if its process was killed before it had written anything."""
    if not path.exists():
        return []
    try:
        values = MmapedDict.read_all_values_from_file(str(path))  # type: ignore[no-untyped-call]
        return [(key, value) for key, value, *_ in values]
    except (struct.error, RuntimeError, UnicodeDecodeError):
        log.warning("metrics_file_unreadable", file=path.name)
        return []
