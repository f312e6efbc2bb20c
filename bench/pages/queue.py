"""`make bench-queue SIZE=1000000`: the pages of the dead letter queue at 1,000 and at so many parked events.

Exit status 0 only when, at 1,000,000, the list takes at most 300 ms, a look-up 50 ms, and a dry run says how far it is;
of fewer no time is asked.
Times are the median of the whole answer, over HTTP, with the page's figures in it; the slowest is beside it.
"""

import argparse
import http.cookiejar
import itertools
import logging
import os
import re
import secrets
import statistics
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable

import django
import redis
from rich.console import Console
from rich.progress import track
from rich.table import Table

from audit.formats import event
from bench.fleet import ROOT, Fleet
from bench.load import documents

SMALL, LARGE, BATCH = 1_000, 1_000_000, 500
ROUNDS = 15
LIMITS = {"list": 300.0, "look-up": 50.0}
console = Console(width=None if sys.stdout.isatty() else 120)
LIST = "/admin/audit/parked/"


class Visitor:
    """A person who is logged in."""

    def __init__(self, fleet: Fleet):
        self._site = f"http://127.0.0.1:{fleet.site_port}"
        cookies = http.cookiejar.CookieJar()
        self._open = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(cookies)).open
        fleet.env["DJANGO_SUPERUSER_PASSWORD"] = password = secrets.token_urlsafe()
        fleet.manage("createsuperuser", "--noinput", "--username", "bench", "--email", "bench@example.org")
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.get("/admin/login/"))
        assert token is not None
        form = {"csrfmiddlewaretoken": token[1], "username": "bench", "password": password, "next": LIST}
        self.get("/admin/login/", urllib.parse.urlencode(form).encode())

    def get(self, path: str, form: bytes | None = None) -> str:
        """The page at a path. Raises `RuntimeError` where the site shows its login in place of it."""
        with self._open(self._site + path, form, timeout=120) as answer:
            text: str = answer.read().decode()
            if "/login/" in answer.url and "/login/" not in path:
                raise RuntimeError(f"{path}: the site asks who is there, so this would time its login page")
            return text


def timed(act: Callable[[], object], rounds: int = ROUNDS) -> list[float]:
    """How long it took each time, in ms, after once for warming up."""
    act()
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        act()
        times.append((time.perf_counter() - started) * 1000)
    return times


class Filled:
    """The queue, filled up to a size, and what its pages took then."""

    def __init__(self, fleet: Fleet, visitor: Visitor):
        import dlq.stream

        self._fleet = fleet
        self._visitor = visitor
        self._queue = dlq.stream.for_drain()
        self._source = documents()
        self._bytes = 0
        self.depth = 0
        self.empty_memory = self._memory()

    def fill(self, size: int) -> None:
        """Park real events until there are that many; one in a hundred has failed, one in two hundred is dead."""
        from dlq.message import Document

        for _ in track(range((size - self.depth) // BATCH), description=f"parking up to {size:,}", console=console):
            accepted = [event.accept(one, writer="bench") for one in itertools.islice(self._source, BATCH)]
            self._queue.park(
                [
                    Document(str(one.id), one.digest, one.body, "bench", one.event_type, one.received_at)
                    for one in accepted
                ],
                reason="database-down",
            )
            self._bytes += sum(len(one.body) for one in accepted)
            for number, message in enumerate(self._queue.claim(8)[:5]):
                self._queue.fail(message, "DataError", "a value that the column does not take", dead=number < 2)
        self.depth = self._queue.totals.depth()

    def memory(self) -> tuple[float, float]:
        """Bytes that Redis has for one message, and how long its body is, on average."""
        return (self._memory() - self.empty_memory) / self.depth, self._bytes / self.depth

    def pages(self, rounds: int) -> dict[str, list[float]]:
        """What each page took, in ms, opened so often."""
        middle = self._queue.redis.xrange(self._queue.keys.stream, count=self.depth // 2)[-1][0].decode()
        found = self._queue.pages.get(middle)
        assert found is not None
        since = urllib.parse.quote(found.parked_at.isoformat())
        paths = {
            "list: first page": "",
            "list: a page in the middle": f"?after={middle}",
            "list: from a time on": f"?since={since}",
            "list: due": "?state=due",
            "list: waiting": "?state=waiting",
            "list: dead": "?state=dead",
            "list: one writer and type": f"?writer=bench&type={urllib.parse.quote(found.kind)}",
            "list: an error that few have": "?error=DataError",
            "list: a filter that nothing passes (2,500 looks)": "?writer=nobody",
            "look-up by event id": f"?q={found.key}",
            "a message": f"{found.id}/change/",
        }
        found_times = {
            name: timed(lambda path=path: self._visitor.get(LIST + path), rounds)  # type: ignore[misc]
            for name, path in paths.items()
        }
        found_times["look-up by event id, in Redis alone"] = timed(lambda: self._queue.pages.find(found.key), rounds)
        return found_times

    def dry_run(self) -> tuple[float, int, str]:
        """`manage.py dlq retry --all --dry-run` with a filter: seconds, lines of progress, and what it said."""
        command = [sys.executable, "manage.py", "dlq", "retry", "--all", "--dry-run", "--writer", "bench"]
        started = time.perf_counter()
        done = subprocess.run(command, cwd=ROOT, env=self._fleet.env, capture_output=True, text=True, check=True)
        lines = [line for line in done.stderr.splitlines() if "looked at" in line]
        return time.perf_counter() - started, len(lines), done.stdout.strip()

    def _memory(self) -> int:
        with redis.Redis.from_url(self._fleet.redis.url()) as client:
            return int(client.info("memory")["used_memory"])


def _print(small: dict[str, list[float]], large: dict[str, list[float]], sizes: tuple[int, int]) -> bool:
    table = Table("median (slowest), ms", *(f"at {size:,}" for size in sizes), "ratio", "limit")
    passed = True
    for name, times in large.items():
        few, many = statistics.median(small[name]), statistics.median(times)
        limit = LIMITS["look-up" if name.startswith("look-up") else "list"]
        passed = passed and many <= limit
        cells = (f"{middle:.1f} ({max(of):.1f})" for middle, of in ((few, small[name]), (many, times)))
        table.add_row(name, *cells, f"{many / few:.2f}", f"{limit:.0f}")
    console.print(table)
    return passed


def main() -> int:
    """Fill, measure, fill, measure."""
    parser = argparse.ArgumentParser(prog="python -m bench.pages.queue")
    parser.add_argument("--size", type=int, default=LARGE)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often each page is opened")
    options = parser.parse_args()
    size = options.size
    fleet = Fleet(drainers=0, workers=1)
    try:
        fleet.start_servers()
        fleet.manage("collectstatic", "--noinput", "--verbosity", "0")
        fleet.start_web()
        os.environ.update(fleet.env)
        django.setup()
        logging.disable(logging.ERROR)
        filled = Filled(fleet, Visitor(fleet))
        filled.fill(min(SMALL, size // 2))
        small = filled.pages(options.rounds)
        filled.fill(size)
        large = filled.pages(options.rounds)
        passed = _print(small, large, (min(SMALL, size // 2), size))
        whole, body = filled.memory()
        console.print(f"Redis memory: {whole:,.0f} bytes a message, {body:,.0f} of them its body")
        seconds, lines, said = filled.dry_run()
        console.print(f"dry run of retry --all: {said!r} after {seconds:.1f} s, {lines} lines of progress on the way")
    finally:
        fleet.stop()
    return 0 if size < LARGE or (passed and lines) else 1


if __name__ == "__main__":
    sys.exit(main())
