"""With several hosts the site follows the one that takes writes, without a restart, and loses nothing."""

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest
from django.db import connections

from audit.postgres import hosts
from audit.postgres.hosts import in_order
from tests import servers
from tests.audit.postgres.standbys import Pair

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


@pytest.fixture
def pair() -> Iterator[Pair]:
    if servers.postgres is None:
        pytest.skip("needs a PostgreSQL of its own: unset DATABASE_URL")
    folder = servers.FOLDER / f"pair-{secrets.token_hex(4)}"
    made = Pair(folder, connections["default"].settings_dict["NAME"])
    made.start(servers.postgres)
    yield made
    made.stop()
    shutil.rmtree(folder)


@pytest.fixture
def process(pair: Pair) -> Iterator[Process]:
    made = Process(pair.environment())
    yield made
    made.end()


@pytest.mark.slow
def test_a_primary_that_dies_is_replaced_by_its_standby(pair: Pair, process: Process) -> None:
    kept = process.record(20, "stored")
    pair.primary.kill()
    kept += process.record(10, "parked")
    pair.promote()
    assert process.ask("drain") == ("True", "0")
    kept += process.record(10, "stored")
    assert process.ask(" ".join(kept)) == ("False", "40")


@pytest.mark.slow
def test_a_primary_that_hangs_is_left_for_the_one_that_was_promoted(pair: Pair, process: Process) -> None:
    """It costs the seconds of one connection, and not those of each."""
    kept = process.record(5, "stored")
    pair.primary.freeze()
    kept += process.record(5, "parked")
    pair.promote()
    assert process.ask("drain") == ("True", "0")
    kept += process.record(20, "stored")
    assert process.ask(" ".join(kept)) == ("False", "30")
    pair.primary.thaw()


@pytest.mark.slow
def test_connections_of_a_primary_that_became_a_standby_are_made_anew(pair: Pair, process: Process) -> None:
    """As behind a name or a pooler, where it is the same address: no connection breaks, and none takes writes."""
    kept = process.record(5, "stored")
    pair.run(pair.primary, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
    kept += process.record_until("parked", 5)
    pair.promote()
    assert process.ask("drain") == ("True", "0")
    kept += process.record(5, "stored")
    assert process.ask(" ".join(kept)) == ("False", str(len(kept)))


def test_the_host_of_the_last_connection_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "_last", {("a,b,c", "1,,3"): ("b", "5432")})
    assert in_order("a,b,c", "1,,3") == {"host": "b,a,c", "port": "5432,1,3"}
    assert in_order("a,b", "") == {"host": "a,b", "port": "5432,5432"}
    assert in_order("a,b", "6000") == {"host": "a,b", "port": "6000,6000"}
