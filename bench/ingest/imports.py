"""`make bench-import EVENTS=1000000`: a file of CloudTrail events is imported, killed on the way, and each is once.

Beside it the rate of an import and that of batches over HTTP, in turns. Exit status 0 only when each event is stored
once, and, of a million, when the median ratio is at least 0.5 and the import takes no more memory at its end than after
its first tenth: of fewer the start of the process is most of an import.
"""

import argparse
import gzip
import json
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from bench.fleet import ROOT, Fleet
from bench.ingest.scene import BATCH, Site, in_turns, ratios
from bench.load import median
from bench.wire import fire

EVENTS, KILLS, GOAL = 1_000_000, 10, 0.5
CONNECTIONS, SECONDS, ROUNDS = 4, 6.0, 5
# What an import may take more at its end than after its first tenth.
GROWTH_MIB = 32.0
# Of a rate: so many of the events, and at least so many.
PART, LEAST = 0.06, 200
WRITER = "trail"
SAMPLES = ROOT / "tests" / "data" / "field" / "aws-cloudtrail.jsonl"
console = Console(width=None if sys.stdout.isatty() else 100)


def events(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Events made of the samples, each with an id and a time of its own, of the last thirty days."""
    samples = [json.loads(line) for line in SAMPLES.read_text(encoding="utf-8").splitlines()]
    numbers = random.Random(seed)
    begin = datetime.now(UTC) - timedelta(days=30)
    for number, sample in enumerate(islice(cycle(samples), count)):
        at = begin + timedelta(days=29) * number / count
        ids = {"eventID": str(uuid.UUID(int=numbers.getrandbits(128))), "requestID": f"request-{number}"}
        yield sample | ids | {"eventTime": f"{at:%Y-%m-%dT%H:%M:%SZ}"}


def write(path: Path, count: int, seed: int) -> int:
    """Write a file as CloudTrail has it; return how many bytes it has unzipped."""
    size = 0
    with gzip.open(path, "wt", compresslevel=1, encoding="utf-8") as file:
        size += file.write('{"Records":[')
        for number, event in enumerate(events(count, seed)):
            size += file.write(("," if number else "") + json.dumps(event, separators=(",", ":")))
        size += file.write("]}")
    return size


class Bench:
    """One run."""

    def __init__(self, count: int, kills: int):
        self.count, self.kills = count, kills
        self.fleet = Fleet(workers=2, drainers=0)
        self._files = 0
        # What the import and its processes take, in MiB, by the share of the file that is imported.
        self._taken: list[tuple[float, float]] = []

    def run(self) -> bool:
        """Measure both rates, then import with kills; say whether all is as it should be."""
        self.fleet.start()
        site = Site(self.fleet, self.fleet.new_writer())
        self.fleet.manage("writer", "create", WRITER)
        is_whole = self.count >= EVENTS
        part, seconds = max(LEAST, int(self.count * PART)), SECONDS if is_whole else 0.5
        requests = site.batches()
        site.warm_up(seconds / 2)

        def batch_rate() -> float:
            load = fire(self.fleet.ingest_port, requests, seconds=seconds, connections=CONNECTIONS)
            return load.kept_rate * BATCH

        runs = {"import": lambda: self._rate(part), "batch": batch_rate}
        rates = in_turns(ROUNDS if is_whole else 1, runs)
        ratio = ratios(rates["import"], rates["batch"])
        before = self._stored()
        taken_s, times = self._killed()
        stored = self._stored() - before
        distinct = self.fleet.number(
            f"SELECT count(DISTINCT event_data ->> 'eventID') FROM audit_record WHERE writer = '{WRITER}'"
        )
        is_once = stored == self.count and distinct == before + self.count
        early, late = self._memory()
        self._print(rates, ratio, taken_s, times, stored, f"{early:.0f}, and {late:.0f} MiB")
        return is_once and (not is_whole or (median(ratio) >= GOAL and late <= early + GROWTH_MIB))

    def _rate(self, count: int) -> float:
        """Events a second of an import, the start of its process with it."""
        self._files += 1
        path = self.fleet.folder / f"part-{self._files}.json.gz"
        write(path, count, seed=self._files)
        started = time.perf_counter()
        status = self._import(path).wait()
        assert status == 0, f"the import ended with status {status}"
        return count / (time.perf_counter() - started)

    def _killed(self) -> tuple[float, int]:
        """Import the whole file, killed on the way; return the seconds of all runs, and how often it was killed."""
        path = self.fleet.folder / "whole.json.gz"
        size = write(path, self.count, seed=0)
        started, times = time.perf_counter(), 0
        for number in range(1, self.kills + 1):
            process = self._import(path)
            while process.poll() is None and self._offset() < size * number / (self.kills + 2):
                time.sleep(0.05)
            self._note_memory(process, size)
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                times += 1
            process.wait()
        process = self._import(path)
        while process.poll() is None:
            self._note_memory(process, size)
            time.sleep(0.5)
        assert process.returncode == 0, f"the last import ended with status {process.returncode}"
        return time.perf_counter() - started, times

    def _note_memory(self, process: subprocess.Popen[bytes], size: int) -> None:
        # Before its place is noted first, and once it is at its end, the store knows of no place.
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            if offset := self._offset():
                import_itself = psutil.Process(process.pid)
                # What processes share is counted in each.
                taken = [each.memory_info().rss for each in (import_itself, *import_itself.children(recursive=True))]
                self._taken.append((offset / size, sum(taken) / 2**20))

    def _memory(self) -> tuple[float, float]:
        """What the import took at most up to its first tenth, or the first time that it was looked at, and after."""
        taken = [mib for _, mib in self._taken] or [0.0]
        early = [mib for share, mib in self._taken if share <= 0.1] or taken[:1]
        return max(early), max(taken)

    def _import(self, path: Path) -> subprocess.Popen[bytes]:
        command = [self.fleet.python, "manage.py", "import", "cloudtrail", str(path), "--writer", WRITER]
        with (self.fleet.folder / "import.log").open("ab") as log:
            return subprocess.Popen(command, cwd=self.fleet.root, env=self.fleet.env, stdout=log, stderr=log)

    def _offset(self) -> int:
        with suppress(TypeError):
            return self.fleet.number('SELECT coalesce(max("offset"), 0) FROM audit_importplace')
        return 0

    def _stored(self) -> int:
        return self.fleet.number(f"SELECT count(*) FROM audit_record WHERE writer = '{WRITER}'")

    def _print(
        self, rates: dict[str, list[float]], ratio: list[float], taken_s: float, times: int, stored: int, memory: str
    ) -> None:
        table = Table("figure", "value", title="Import")
        rows = {
            "import, events a second": f"{median(rates['import']):,.0f}",
            f"POST batch of {BATCH}, {CONNECTIONS} connections, events a second": f"{median(rates['batch']):,.0f}",
            "import beside batch": f"{median(ratio):.2f} ({min(ratio):.2f} to {max(ratio):.2f}), goal ≥ {GOAL}",
            "events of the file": f"{self.count:,}",
            "killed": f"{times} times",
            "all runs together": f"{taken_s:,.1f} s, {self.count / taken_s:,.0f} events a second, "
            f"{self.count / taken_s / median(rates['batch']):.2f} beside batch",
            "memory at most, of the first tenth and of all": memory,
            "stored": f"{stored:,}",
        }
        for name, value in rows.items():
            table.add_row(name, value)
        console.print(table)


def main() -> int:
    """Run one."""
    parser = argparse.ArgumentParser(prog="python -m bench.ingest.imports")
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--kills", type=int, default=KILLS)
    asked = parser.parse_args()
    bench = Bench(asked.events, asked.kills)
    try:
        passed = bench.run()
    finally:
        bench.fleet.stop()
    console.print(f"each of {asked.events:,} events once" if passed else "FAILED")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
