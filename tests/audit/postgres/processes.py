"""A process of the site by itself, with servers of its own: it records, drains and reads what it is told to."""

import os
import secrets
import subprocess
import sys

# Records an event and says what was promised; or drains; or says how many of the ids are there, of a standby or not.
SCRIPT = """
import sys
import django
django.setup()
from django.db import connections
from audit.formats.event import accept
from audit.ingest.record import record
from audit.models import Record
from audit.postgres.gateway import gateway
from audit.queue.drain import drain
from bench.load import documents
events = documents()
for line in sys.stdin:
    for alias in ("default", "reader"):
        connections[alias].close_if_unusable_or_obsolete()
    if line == "record\\n":
        event = accept(next(events), writer="tests")
        answer = f"{event.id} {record([event])[0].state}"
    elif line == "drain\\n":
        answer = f"{gateway().breaker.wait_closed(30)} {drain(seconds=20).remaining}"
    else:
        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT pg_is_in_recovery()")
            answer = f"{cursor.fetchone()[0]} {Record.objects.filter(pk__in=line.split()).count()}"
    print(answer, flush=True)
"""


class Process:
    """A process of the site that records and reads what it is told to."""

    def __init__(self, environment: dict[str, str]):
        more = {"DJANGO_SETTINGS_MODULE": "auditsite.settings", "DLQ_PREFIX": f"hosts-{secrets.token_hex(4)}"}
        self._running = subprocess.Popen(
            [sys.executable, "-c", SCRIPT],
            env=os.environ | more | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, order: str) -> tuple[str, str]:
        """Give an order, and return the two words of its answer."""
        assert self._running.stdin is not None and self._running.stdout is not None
        self._running.stdin.write(f"{order}\n")
        self._running.stdin.flush()
        first, second = self._running.stdout.readline().split()
        return first, second

    def record(self, times: int, state: str) -> list[str]:
        """Record so many events, each with this promise; return their ids."""
        answers = [self.ask("record") for _ in range(times)]
        assert {answer[1] for answer in answers} == {state}
        return [answer[0] for answer in answers]

    def record_until(self, state: str, times: int) -> list[str]:
        """Record events until so many have this promise; return all ids.

        The processes of a server hear of a setting one after the other.
        """
        kept: list[str] = []
        while times and len(kept) < 1_000:
            event_id, promise = self.ask("record")
            kept.append(event_id)
            times -= promise == state
        assert not times, f"of {len(kept)} events {times} too few were {state}"
        return kept

    def end(self) -> None:
        """Let it end by itself."""
        self._running.communicate(timeout=30)
