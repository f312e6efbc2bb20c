"""With several hosts the site follows the one that takes writes, without a restart, and loses nothing."""

import secrets
import shutil
from collections.abc import Iterator

import pytest
from django.db import connections

from audit.postgres.connecting import hosts
from audit.postgres.connecting.hosts import in_order
from tests import servers
from tests.audit.postgres.processes import Process
from tests.audit.postgres.standbys import Pair


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
