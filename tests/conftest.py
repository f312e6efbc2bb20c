"""One migrated database for the whole session.

Records are append-only: no test can roll back or truncate. Tests never clean up; they use names and ids of their own.
"""

import gc
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import hypothesis
import psycopg
import pytest
import structlog
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.core.management import call_command
from django.db import connections
from django.test import override_settings
from django.urls import get_resolver
from hypothesis.strategies import integers, text
from whitenoise.middleware import WhiteNoiseMiddleware

from audit.access import api_keys, limits, lockout
from audit.postgres.gateway import gateway
from audit.reports import build
from auditsite.embedded import Server
from tests import servers

# How fast a machine draws, or runs, an example decides no test.
_too_slow = [hypothesis.HealthCheck.too_slow]
hypothesis.settings.register_profile(
    "any machine", hypothesis.settings(), deadline=None, suppress_health_check=_too_slow
)
hypothesis.settings.load_profile("any machine")


class Breakable:
    """A server that a test may stop or hang; it is back and healthy afterwards."""

    def __init__(self, server: Server):
        self._server = server
        self.url: Any = server.url

    @contextmanager
    def stopped(self) -> Iterator[None]:
        self._server.stop()
        try:
            yield
        finally:
            self._back(self._server.start)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        self._server.freeze()
        try:
            yield
        finally:
            self._back(self._server.thaw)

    @contextmanager
    def killed(self) -> Iterator[None]:
        self._server.kill()
        try:
            yield
        finally:
            self._back(self._server.start)

    def _back(self, act: Callable[[], None]) -> None:
        act()
        if servers.pooler is not None and self._server is servers.postgres:
            database = str(connections["default"].settings_dict["NAME"])
            servers.pooler.wait_until_it_reaches(database, ("audit_app", "audit_reader"))
        # What the server's absence broke is not the next test's business.
        connections.close_all()
        gateway().close()


@pytest.hookimpl(trylast=True)  # whatever has shuffled them
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the browser tests, so that one process has them all: one browser, one site, each kind of page once.

    xdist hands out contiguous shares, of which others take from the end. In three processes they cost a minute more.
    What needs a gateway of storage follows, for a process that has none starts it within ten seconds.
    """
    items.sort(key=lambda item: (item.get_closest_marker("browser") is None, "gateway" not in names_of(item)))


def names_of(item: pytest.Item) -> list[str]:
    """The fixtures that a test asks for, also by way of others."""
    return item.fixturenames if isinstance(item, pytest.Function) else []


@pytest.fixture(autouse=True)
def whole_budgets() -> None:
    """What a test before sent as wrong keys and passwords counts against no other, nor that it took Redis away."""
    api_keys.unknown_keys.reset()
    lockout.attempts.reset()
    limits._paused_until = 0.0


@pytest.fixture(autouse=True, scope="session")
def _cheap_passwords() -> Iterator[None]:
    """Passwords of tests are hashed with one round; the site reads them, for a hash tells its rounds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PBKDF2PasswordHasher, "iterations", 1)
        yield


@pytest.fixture(autouse=True, scope="session")
def _patient_limits() -> Iterator[None]:
    """Limits let pass what Redis does not count within a tenth of a second: a busy machine must not decide a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "TIMEOUT_S", 1.5)
        yield


@pytest.fixture(autouse=True, scope="session")
def _settled_at_once() -> Iterator[None]:
    """A report waits for what others had begun when its checkpoint was signed: in a test nobody else has begun."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "SETTLE_S", 0.0)
        yield


@pytest.fixture(autouse=True, scope="session")
def _files_looked_at_once() -> Iterator[None]:
    """Each test client makes the whole site anew: of its 300 files, a third of the time of a page."""
    read, known = WhiteNoiseMiddleware.update_files_dictionary, dict[tuple[str, str], dict[str, Any]]()

    def remembered(self: WhiteNoiseMiddleware, root: str, prefix: str) -> None:
        if (root, prefix) not in known:
            read(self, root, prefix)
            known[root, prefix] = dict(self.files)
        self.files.update(known[root, prefix])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WhiteNoiseMiddleware, "update_files_dictionary", remembered)
        yield


@pytest.fixture(autouse=True, scope="session")
def _charged_to_no_test() -> None:
    """What comes once in a process would be in the share of a test that meets it.

    Hypothesis reads the constants of all modules at its first examples, and of those that are loaded later at others,
    which the pages would be; garbage is looked for in all that was loaded.
    """
    assert get_resolver().url_patterns

    @hypothesis.settings(max_examples=20, database=None, deadline=None)
    @hypothesis.given(integers(), text())
    def first(number: int, word: str) -> None:
        pass

    first()
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def _counted_however_slow() -> Iterator[None]:
    """A count that takes too long is left out of a page: here the machine's speed decides of none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("audit.search.query.COUNT_MS", 5_000)
        yield


@pytest.fixture(scope="session")
def django_db_setup(django_db_blocker: Any) -> None:
    django_db_blocker.unblock()
    call_command("migrate", verbosity=0)
    servers.keep_migrated()
    call_command("collectstatic", interactive=False, verbosity=0)


@pytest.fixture(autouse=True, scope="session")
def _database(django_db_setup: None) -> None:
    """Every test may use the database."""


@pytest.fixture(autouse=True)
def _sound_connections() -> None:
    """Let go of connections that a test before has lost, as Django does before each request."""
    for connection in connections.all(initialized_only=True):
        if connection.connection is not None and connection.connection.closed:
            connection.close()


@pytest.fixture(autouse=True)
def _logs_as_configured() -> Iterator[None]:
    """Loggers keep the configuration of their first line: who configures anew hides their lines from tests after it."""
    processors = structlog.get_config()["processors"]
    yield
    assert structlog.get_config()["processors"] is processors, "this test has configured structlog anew"


@pytest.fixture
def postgres() -> Breakable:
    if servers.postgres is None:
        pytest.skip("needs a PostgreSQL of its own to stop: unset DATABASE_URL")
    return Breakable(servers.postgres)


@pytest.fixture
def redis_server() -> Breakable:
    if servers.redis is None:
        pytest.skip("needs a Redis of its own to stop: unset REDIS_URL")
    return Breakable(servers.redis)


@pytest.fixture(scope="session")
def stores(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A Scene, one for the whole session: what stores that are attacked, or that lose records, are copied from."""
    from tests.attacks.scene import Scene  # which imports the cast of the audit tests

    if servers.postgres is None:
        pytest.skip("needs a PostgreSQL of its own to attack: unset DATABASE_URL")
    made = Scene(servers.postgres.url(), tmp_path_factory.mktemp("scene"))
    try:
        made.build()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session")
def scene(stores: Any) -> Any:
    """The same, by the name that it has in tests of the log; others have scenes of another kind."""
    return stores


@pytest.fixture
def elsewhere(stores: Any) -> Iterator[Any]:
    """A Scene: 600 sealed records in a database of their own, for what would spoil the log of the others."""
    with stores.outside(), stores.fresh():
        yield stores


@pytest.fixture
def own_queue(django_db_setup: None) -> Iterator[None]:
    """A queue that no other test has left anything in, with the copy of the keys beside it.

    What others left may be due at any moment, or be leased by a process that was killed.
    """
    with override_settings(DLQ_PREFIX=f"test-{secrets.token_hex(6)}"):
        api_keys.publish()
        yield


@pytest.fixture
def superuser(postgres: Any) -> Iterator[psycopg.Connection[Any]]:
    """A connection of the database administrator: the adversary, and the hand that breaks things."""
    database = connections["default"].settings_dict["NAME"]
    with psycopg.connect(postgres.url("postgres", database), autocommit=True) as connection:
        yield connection
