"""`make stream-drill`: a target is away while an hour's worth of records comes, and gets each of them all the same.

Then it is slow, answers 429 and 500 in turns and hangs up, and its streamer is killed with SIGKILL. Each record comes
once at least, in the order of the log, none is left out, and polling `GET log/entries?from=` gives the same. The hour
is one of records, 50 a second, which come as fast as they are taken: what a streamer does while its target is away does
not depend on the clock, but for its pauses, which reach their longest within DOWN seconds.
"""

import argparse
import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from itertools import cycle
from typing import Any, NamedTuple

import psutil
from rich.console import Console
from rich.table import Table

from bench.fleet import Fleet
from bench.ingest.scene import BATCH, Site
from bench.load import wait_until
from bench.ports import free_port
from bench.streams.far_end import HANGS_UP, FarEnd, digest_of
from bench.wire import fire

RECORDS, DOWN_S = 180_000, 150.0
# Of the records so many come in each of the parts that follow the outage.
PART = 0.05
KILLS = 5
NAME = "siem"
# Within so long of its return a target is asked again: the longest pause, and what the request takes.
LONGEST_PAUSE_S = 65.0
# What a streamer may take more than before, while it waits for its target.
GROWTH_MIB = 16.0
PAGE = f"""
from django.contrib.auth.models import User
from django.test import Client
client = Client()
client.force_login(User.objects.filter(is_superuser=True).first() or User.objects.create_superuser("drill"))
print(client.get("/admin/audit/stream/{NAME}/change/", headers={{"host": "localhost"}}).content.decode())
"""
console = Console(width=None if sys.stdout.isatty() else 100)


class Outage(NamedTuple):
    """What was seen while the target was away, and when it came back."""

    seconds: float
    tries: int
    growth_mib: float
    page: str
    lag_records: int
    lag_s: float
    back_s: float
    caught_up_s: float


class Drill:
    """One run."""

    def __init__(self, records: int, down_s: float):
        self.records, self.down_s = records, down_s
        self.fleet = Fleet(workers=2, drainers=1)
        self.far_end = FarEnd()
        self.faults: list[str] = []
        self._metrics = free_port()
        self._streamer: subprocess.Popen[bytes] | None = None

    def run(self) -> bool:
        """All parts; say whether each was as it should be."""
        self.fleet.start()
        self.fleet.manage("collectstatic", "--noinput", "--verbosity", "0")  # for the page
        site = Site(self.fleet, self.fleet.new_writer())
        self._requests, self._key = site.batches(), site.key
        self._send(BATCH)
        self.fleet.wait_for_sealer()
        self._start()
        outage = self._away()
        seconds = {
            "slow, 0.2 s an answer": self._part(lambda: self.far_end.answers(cycle([200]), slow_s=0.2)),
            "429, 500 and no answer in turns": self._part(
                lambda: self.far_end.answers(cycle([429, 200, 500, 200, HANGS_UP, 200]))
            ),
            f"streamer killed {KILLS} times": self._part(self._kill),
        }
        self._stop(signal.SIGTERM)
        self.faults += self.far_end.faults(first=0)
        polled = self._polled()
        self._print(outage, seconds, polled)
        for fault in self.faults:
            console.print(f"[red]{fault}[/]")
        return not self.faults

    def _away(self) -> Outage:
        """The target is away, while records come, and comes back."""
        began = time.monotonic()
        wait_until(lambda: self._tries() > 1, seconds=60, what="the streamer's first tries")
        before = self._rss_mib()
        self._send(self.records)
        self.fleet.wait_for_sealer()
        while time.monotonic() - began < self.down_s:
            time.sleep(0.5)
        growth, tries, page = self._rss_mib() - before, self._tries(), self._page()
        lag_records, lag_s = self._gauge("records"), self._gauge("seconds")
        position = self.fleet.number(f"SELECT position FROM audit_stream WHERE name = '{NAME}'")
        self._expect(position == 0, f"the cursor is at {position} though the target has nothing")
        said = re.match(r"([0-9,]+) records, the oldest for [0-9]", page)
        lacks = int(said[1].replace(",", "")) if said else 0
        self._expect(lacks >= self.records, f"the page says that it lacks: {page}")
        self._expect(lag_records >= self.records, f"the lag is {lag_records:.0f} records")
        self._expect(growth <= GROWTH_MIB, f"the streamer takes {growth:.0f} MiB more than before")
        seconds = time.monotonic() - began
        self.far_end.come()
        back = time.monotonic()
        wait_until(lambda: bool(self.far_end.digests), seconds=LONGEST_PAUSE_S, what="the first batch after the return")
        first = time.monotonic()
        self._caught_up()
        caught_up_s = time.monotonic() - first
        return Outage(seconds, tries, growth, page, int(lag_records), lag_s, first - back, caught_up_s)

    def _part(self, begin: Callable[[], None]) -> float:
        """Have records come while something is wrong; return the seconds until the target has all of them."""
        started = time.monotonic()
        self.far_end.answers(cycle([200]))
        self._send(max(BATCH, int(self.records * PART)))
        begin()
        self.fleet.wait_for_sealer()
        self._caught_up()
        self.far_end.answers(cycle([200]))
        return time.monotonic() - started

    def _kill(self) -> None:
        """Kill the streamer again and again, each time once the target has taken more, or has all."""
        self.far_end.answers(cycle([200]), slow_s=0.05)
        for _ in range(KILLS):
            reached = self.far_end.reached
            self._send(BATCH)
            wait_until(lambda reached=reached: self.far_end.reached > reached, seconds=300, what="a batch")  # type: ignore[misc]
            self._stop(signal.SIGKILL)
            self._start()

    def _send(self, count: int) -> None:
        """Send so many events at least, in batches."""
        before = self._stored()
        while (left := count - (self._stored() - before)) > 0:
            seconds = min(max(left / 10_000, 0.1), 5.0)
            fire(self.fleet.ingest_port, self._requests, seconds=seconds, connections=4)

    def _stored(self) -> int:
        return self.fleet.number("SELECT count(*) FROM audit_record")

    def _start(self) -> None:
        file = self.fleet.folder / "streams.toml"
        file.write_text(f'[{NAME}]\ntype = "http"\nurl = "{self.far_end.url}"\n', encoding="utf-8")
        env = self.fleet.env | {"STREAMS_FILE": str(file), "METRICS_PORT": str(self._metrics)}
        # Its counters are its own: those of the site are beside them in the same folder.
        folder = self.fleet.folder / "streamer"
        folder.mkdir(exist_ok=True)
        env["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
        command = [self.fleet.python, "manage.py", "stream", "run"]
        with (self.fleet.folder / "streamer.log").open("ab") as log:
            self._streamer = subprocess.Popen(command, cwd=self.fleet.root, env=env, stdout=log, stderr=log)

    def _stop(self, number: int) -> None:
        if self._streamer is not None:
            self._streamer.send_signal(number)
            self._streamer.wait(timeout=60)
            self._streamer = None

    def stop(self) -> None:
        """End everything."""
        self._stop(signal.SIGKILL)
        self.far_end.go()
        self.fleet.stop()

    def _caught_up(self) -> None:
        size = self._sealed()
        wait_until(lambda: self.far_end.reached >= size, seconds=600, what="the target to have all")

    def _sealed(self) -> int:
        return self.fleet.number("SELECT max(index) + 1 FROM audit_leaf")

    def _tries(self) -> int:
        """How often the target did not take a batch, as the streamer counts."""
        with suppress(OSError):
            return int(sum(_values(self._metrics, r"audit_stream_faults_total\{.*?\}")))
        return 0

    def _gauge(self, name: str) -> float:
        return sum(_values(self.fleet.site_port, rf'audit_stream_lag_{name}\{{target="{NAME}"\}}'))

    def _rss_mib(self) -> float:
        assert self._streamer is not None
        size: int = psutil.Process(self._streamer.pid).memory_info().rss
        return size / 2**20

    def _page(self) -> str:
        """What the page says that the target lacks."""
        page = self.fleet.manage("shell", "--verbosity", "0", "-c", PAGE)
        found = re.search(r"<dt>Lacks</dt><dd>(.*?)</dd>", page)
        return found[1] if found else page[-500:]

    def _polled(self) -> int:
        """Read the log by polling; each record has to be the one that the target has. Return how many there are."""
        entry, size = 0, self.far_end.reached
        while entry < size:
            page = self._entries(entry)
            for record in page["entries"]:
                if record["leaf_index"] < size and self.far_end.digests.get(record["leaf_index"]) != digest_of(record):
                    self.faults.append(f"entry {record['leaf_index']} is another one by polling")
            entry = page["next"]
            if len(self.faults) > 10:
                break
        return entry

    def _entries(self, first: int) -> dict[str, Any]:
        address = f"http://127.0.0.1:{self.fleet.site_port}/api/v1/audit/log/entries?from={first}&limit=1000"
        asked = urllib.request.Request(address, headers={"Authorization": f"Bearer {self._key}", "Host": "localhost"})
        with urllib.request.urlopen(asked, timeout=60) as answer:
            page: dict[str, Any] = json.load(answer)
        return page

    def _expect(self, holds: bool, text: str) -> None:
        if not holds:
            self.faults.append(text)

    def _print(self, outage: Outage, seconds: dict[str, float], polled: int) -> None:
        table = Table("figure", "value", title="Stream")
        rate = self.records / outage.caught_up_s
        rows = {
            "away": f"{outage.seconds:,.0f} s, {self.records:,} records came, {outage.tries} tries",
            "memory of the streamer meanwhile": f"{outage.growth_mib:+.1f} MiB",
            "lag, as the gauges have it": f"{outage.lag_records:,} records, {outage.lag_s:,.0f} s",
            "lag, as the page has it": outage.page,
            "asked again after its return": f"{outage.back_s:.1f} s",
            "caught up after that": f"{outage.caught_up_s:.1f} s, {rate:,.0f} records a second",
            **{f"{name}, until all is there": f"{took:.1f} s" for name, took in seconds.items()},
            "answers": ", ".join(f"{status or 'none'}: {n:,}" for status, n in sorted(self.far_end.answered.items())),
            "records that came twice": f"{self.far_end.twice():,} of {len(self.far_end.digests):,}",
            "the same by polling": f"{polled:,} entries",
        }
        for name, value in rows.items():
            table.add_row(name, value)
        console.print(table)


def _values(port: int, pattern: str) -> list[float]:
    """The values of a metric that a port serves."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    return [float(value) for value in re.findall(rf"^{pattern} (\S+)$", text, re.MULTILINE)]


def main() -> int:
    """Run one."""
    parser = argparse.ArgumentParser(prog="python -m bench.streams.drill")
    parser.add_argument("--records", type=int, default=RECORDS)
    parser.add_argument("--down", type=float, default=DOWN_S, help="seconds that the target is away at least")
    asked = parser.parse_args()
    drill = Drill(asked.records, asked.down)
    try:
        passed = drill.run()
    finally:
        drill.stop()
    console.print("each record in order, none left out, the same by polling" if passed else "FAILED")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
