"""The installation of drills: what it waits for, in a store that goes on."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from bench.fleet import Fleet
from tests import servers

ADD = (
    "INSERT INTO audit_unsealed (record_id, leaf_hash, stored_at)"
    " VALUES (gen_random_uuid(), sha256(''), clock_timestamp() + %s::interval)"
)


@pytest.fixture
def fleet(django_db_setup: None) -> Iterator[Fleet]:
    """It has a copy of the session's empty store, and nothing of it runs but PostgreSQL."""
    if servers.postgres is None or not servers.migrated:
        pytest.skip("needs a PostgreSQL of its own: unset DATABASE_URL and TESTS_POOLED")
    made = Fleet()
    own, made.postgres = made.postgres, servers.postgres
    with psycopg.connect(servers.postgres.url(), autocommit=True) as administrator:
        administrator.execute(f"CREATE DATABASE drill TEMPLATE {servers.migrated} STRATEGY FILE_COPY".encode())
        yield made
        administrator.execute("DROP DATABASE drill WITH (FORCE)")
    made.postgres = own
    made.stop()


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_what_comes_after_the_question_is_not_waited_for(fleet: Fleet) -> None:
    """Under load there is always something: a drill waited for a moment without, and gave up after ten minutes."""
    fleet.sql(ADD, "1 hour")
    fleet.wait_for_sealer()


@pytest.mark.slow
def test_what_was_stored_before_is_waited_for(fleet: Fleet) -> None:
    fleet.sql(ADD, "-1 hour")
    with ThreadPoolExecutor(1) as pool:
        left = pool.submit(lambda: (fleet.wait_for_sealer(), fleet.number("SELECT count(*) FROM audit_unsealed"))[1])
        fleet.sql("DELETE FROM audit_unsealed WHERE pg_sleep(0.2) IS NOT NULL")
        assert left.result() == 0
