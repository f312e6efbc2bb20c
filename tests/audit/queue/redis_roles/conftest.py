"""A Redis with the users of deploy/redis, and this process as any of its roles."""

import re
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

import dlq.alarm
import dlq.client
import dlq.gauges
import dlq.history
import dlq.outage
import dlq.sample
import dlq.stream
from audit.access import published_keys
from audit.access.outage import session_copies
from audit.access.outage.person import KnownPerson
from audit.access.outage.session_copies import SessionCopy
from audit.formats.event import Accepted, accept
from audit.ingest.record import document
from audit.postgres import clock
from auditsite.embedded import Redis
from dlq.errors import Refused
from dlq.message import Message
from tests.audit.conftest import an_event

ROOT = Path(__file__).parents[4]
ACL = ROOT / "deploy" / "redis"
# The last is what Redis 7.0 says to a script of a key that its caller may not touch.
NO_PERMISSION = r"NOPERM|permission|ACL|can't access at least one of the keys"
ROLES = ("web", "park", "drain", "worker", "seal", "stream", "backup", "queue", "migrate")


class RoleRedis(Redis):
    """A server with the users of an ACL file, started as docker-compose.yml does."""

    def __init__(self, data: Path, rules: str, roles: tuple[str, ...], prefix: str):
        super().__init__(data)
        self._rules, self._secrets, self._prefix = rules, data.parent / f"{data.name}-secrets", prefix
        self._secrets.mkdir()
        self._passwords = {role: secrets.token_hex(32) for role in roles}
        for role in roles:
            (self._secrets / f"redis_{role}_url").write_text(f"{self.url_of(role)}\n", encoding="utf-8")

    def url_of(self, role: str) -> str:
        """The address of a role, with its password."""
        return self.url().replace("unix://", f"unix://{role}:{self._passwords[role]}@")

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url(), username="health", password="none", socket_timeout=2) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def _command(self) -> list[str]:
        places = [f"SECRETS_DIR={self._secrets}", f"USERS_FILE={self._secrets}/users.acl", f"DLQ_PREFIX={self._prefix}"]
        return ["env", *places, "sh", str(ACL / "start.sh"), str(ACL / self._rules), *super()._command()]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RoleRedis]:
    server = RoleRedis(tmp_path / "redis", "queue.acl", ROLES, f"roles-{secrets.token_hex(4)}")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def become(server: RoleRedis, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Have this process talk to Redis as a role from now on, until the test ends."""

    def as_role(role: str) -> None:
        settings.REDIS_URL = settings.QUEUE_URL = server.url_of(role)
        clock.forget()

    settings.DLQ_PREFIX, settings.CACHE_URL = server._prefix, ""
    monkeypatch.setattr(session_copies, "_owed", {})  # what the Redis of other tests missed is not owed to this one
    yield as_role
    clock.forget()


def parked(count: int = 1) -> list[Message]:
    """Park as the way of a request does."""
    events: list[Accepted] = [accept(an_event(), writer="tests") for _ in range(count)]
    queue = dlq.stream.default()
    assert queue.park([document(event) for event in events], reason="database-down").outcomes == ["parked"] * count
    assert set(queue.pages.digests([str(event.id) for event in events])) == {str(event.id) for event in events}
    return list(queue.pages.find_all([str(event.id) for event in events]).values())


def client_of(server: RoleRedis, role: str) -> Any:
    return redis.Redis.from_url(server.url_of(role))


def session_copy(stamps: tuple[str, str]) -> SessionCopy:
    return SessionCopy(KnownPerson("1", "somebody", ()), time.time(), time.time(), stamps)


def refused(act: Callable[[], object]) -> bool:
    """Whether Redis has no permission for it."""
    try:
        act()
    except (Refused, published_keys.CopyUnavailable, redis.RedisError) as error:
        cause = error if isinstance(error, redis.RedisError) else error.__cause__
        assert isinstance(cause, redis.ResponseError) and re.search(NO_PERMISSION, str(cause)), repr(cause)
        return True
    return False
