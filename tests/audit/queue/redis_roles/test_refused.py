"""No role of deploy/redis can do what the processes of others do."""

import re
import subprocess
from collections.abc import Callable
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
from audit.access import limits, published_keys
from audit.access.api_keys import Principal, Quotas
from audit.access.outage import session_copies
from audit.formats.event import accept
from audit.ingest import erasure_rules, signed_copies
from audit.ingest.record import document
from audit.queue import actions, drain
from auditsite import hand_out
from dlq import snapshot
from dlq.errors import Refused
from tests.audit.conftest import an_event
from tests.audit.queue.redis_roles.conftest import ACL, ROLES, ROOT, RoleRedis, client_of, parked, refused, session_copy


@pytest.mark.parametrize("role", ["web", "park", "drain", "worker", "seal", "stream", "queue", "migrate"])
def test_nobody_else_takes_a_copy(become: Callable[[str], None], tmp_path: Path, role: str) -> None:
    become(role)
    with pytest.raises(Refused, match="refused to give a copy"):
        snapshot.save(tmp_path / "redis.rdb")


def test_the_web_makes_room_of_what_is_kept_and_keeps_nothing(become: Callable[[str], None]) -> None:
    become("drain")
    parked()
    queue = dlq.stream.for_drain()
    queue.acknowledge(queue.claim(9), "drained")
    become("web")
    queue = dlq.stream.for_drain()
    assert queue.kept.size().messages == 1
    assert refused(lambda: queue.kept._run(0, [1, b"", b""]))
    assert queue.kept.make_room(1) == 1


def test_the_web_cannot_drain(become: Callable[[str], None]) -> None:
    become("web")
    (message,) = parked()
    queue = dlq.stream.for_drain()
    assert refused(lambda: queue.claim(9))
    assert refused(lambda: queue.fail(message, "Kind", "text", dead=True))
    assert refused(lambda: actions.rebuild("somebody"))
    assert refused(lambda: drain.drain(seconds=5))
    # Nothing was half done: the message is where it was, for a role that may drain.
    assert (queue.totals.stats().due, queue.totals.stats().dead, queue.totals.depth()) == (1, 0, 1)
    become("drain")
    assert drain.drain(seconds=20).stored == 1


@pytest.mark.parametrize("role", ["park", "drain", "seal", "stream", "queue", "migrate"])
def test_only_web_and_worker_publish_keys(become: Callable[[str], None], role: str) -> None:
    become(role)
    assert refused(lambda: published_keys.replace({"a digest": ["tests", ["write"]]}))
    assert refused(lambda: signed_copies.put(erasure_rules.COPY, b"another"))
    assert refused(lambda: session_copies.keep("session", session_copy(("", ""))))


@pytest.mark.parametrize("role", ["park", "seal", "stream", "queue", "migrate"])
def test_the_others_neither_park_nor_drain(become: Callable[[str], None], role: str) -> None:
    become(role)
    assert refused(lambda: dlq.stream.default().park([document(accept(an_event(), writer="tests"))], reason="x"))
    assert refused(lambda: dlq.stream.for_drain().claim(9))


@pytest.mark.parametrize("role", ROLES)
def test_nobody_takes_away_the_stream_or_sets_up_redis(server: RoleRedis, role: str) -> None:
    stream = dlq.client.QueueKeys(server._prefix).stream
    commands = [
        ["FLUSHALL"],
        ["FLUSHDB"],
        ["KEYS", "*"],
        ["SCAN", "0"],
        ["DEL", stream],
        ["UNLINK", stream],
        ["XTRIM", stream, "MAXLEN", "0"],
        ["EXPIRE", stream, "1"],
        ["RENAME", stream, "elsewhere"],
        ["RESTORE", "another", "0", "x"],
        ["CONFIG", "SET", "appendonly", "no"],
        ["REPLICAOF", "127.0.0.1", "1"],
        ["MODULE", "LIST"],
        ["FUNCTION", "LIST"],
        ["ACL", "LIST"],
        ["MONITOR"],
        ["SHUTDOWN"],
        ["SET", "elsewhere", "x"],
    ]
    with client_of(server, role) as connection:
        allowed = [command for command in commands if not refused(lambda c=command: connection.execute_command(*c))]
    assert allowed == []


def test_a_script_is_bound_as_its_caller_is(server: RoleRedis) -> None:
    stream = dlq.client.QueueKeys(server._prefix).stream
    with client_of(server, "web") as connection:
        assert refused(lambda: connection.eval("return redis.call('DEL', KEYS[1])", 1, stream))
        assert refused(lambda: connection.eval("return redis.call('GET', 'django_q:auditsite:q')", 0))


def test_without_a_password_there_is_a_sign_of_life_alone(server: RoleRedis) -> None:
    for who in ({}, {"username": "default", "password": ""}):
        with redis.Redis.from_url(server.url(), **who) as nobody, pytest.raises(redis.AuthenticationError):
            nobody.ping()
    with redis.Redis.from_url(server.url(), username="health", password="none") as connection:
        assert connection.ping()
        assert refused(lambda: connection.execute_command("XLEN", dlq.client.QueueKeys(server._prefix).stream))
        assert refused(lambda: connection.execute_command("INFO"))


def test_a_password_that_is_too_short_starts_nothing(tmp_path: Path) -> None:
    (tmp_path / "redis_web_url").write_text("redis://web:short@redis:6379/0\n", encoding="utf-8")
    places = {"SECRETS_DIR": str(tmp_path), "USERS_FILE": str(tmp_path / "users.acl"), "PATH": "/usr/bin:/bin"}
    command = ["sh", str(ACL / "start.sh"), str(ACL / "queue.acl"), "echo", "started"]
    done = subprocess.run(command, env=places, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "32 letters and digits" in done.stderr and "started" not in done.stdout


def test_the_cache_counts_the_limits_and_holds_no_queue(tmp_path: Path, settings: Any) -> None:
    server = RoleRedis(tmp_path / "redis", "cache.acl", ("cache",), "roles")
    server.start()
    try:
        settings.CACHE_URL = server.url_of("cache")
        writer = Principal("tests", frozenset({"write"}), quotas=Quotas(events=9))
        charged = limits.charge(writer, 1, 9, [], sends=True)
        assert isinstance(charged, limits.Charge) and limits.usage("tests") == limits.Usage(1, 9, 0)
        limits.give_back(charged)
        assert limits.usage("tests") == limits.Usage(0, 0, 0)
        with client_of(server, "cache") as connection:
            assert refused(lambda: connection.execute_command("FLUSHALL"))
            assert refused(lambda: connection.xadd("{dlq}:s", {"a": "b"}))
    finally:
        server.stop()


def test_compose_gives_each_service_its_own_role() -> None:
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    users = set(re.findall(r"^user (\w+)", (ACL / "queue.acl").read_text(encoding="utf-8"), re.MULTILINE))
    assert users - {"default", "health"} == set(ROLES)
    assert set(hand_out.HOLDERS["redis"].secrets) == {f"redis_{role}_url" for role in ROLES}
    used = set(re.findall(r"REDIS_URL_FILE[:=] ?/run/secrets/redis_(\w+)_url", compose))
    # Of clients and of django-q2; the migration has that of the sealer, too, where it makes keys.
    assert used == set(ROLES) - {"park", "queue"}
    assert "redis://" not in compose
