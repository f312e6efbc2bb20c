"""Each role of deploy/redis/queue.acl can do what its processes do, and not what the others' do."""

import json
import re
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from django.core.management import call_command
from django_q.brokers.redis_broker import Redis as Broker

import dlq.alarm
import dlq.client
import dlq.gauges
import dlq.history
import dlq.outage
import dlq.sample
import dlq.stream
from audit import tasks
from audit.access import api_keys, limits, published_keys
from audit.access.api_keys import Principal, Quotas
from audit.access.outage import session_copies
from audit.access.outage.person import KnownPerson
from audit.access.outage.session_copies import SessionCopy
from audit.formats.event import Accepted, accept
from audit.ingest import clock_alarm, rejection_counters
from audit.ingest.record import document
from audit.ingest.rejections import Refusal
from audit.ledger import keys, known_keys
from audit.models import Discard, Quarantined, Record
from audit.postgres import clock
from audit.queue import actions, discards, drain, outages, quarantine, refill
from auditclient.config import DLQConfig
from auditclient.contract import Signer
from auditclient.ids import uuid7
from auditclient.tiers import Queue as ClientQueue
from auditsite import hand_out
from auditsite.embedded import Redis
from dlq import snapshot, spool
from dlq.checks import durability
from dlq.errors import Refused
from dlq.message import Message
from tests.audit.conftest import an_event

ROOT = Path(__file__).parent.parent.parent.parent
ACL = ROOT / "deploy" / "redis"
# The last is what Redis 7.0 says to a script of a key that its caller may not touch.
NO_PERMISSION = r"NOPERM|permission|ACL|can't access at least one of the keys"
ROLES = ("web", "park", "drain", "worker", "seal", "backup", "queue", "migrate")


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
def become(server: RoleRedis, settings: Any) -> Iterator[Callable[[str], None]]:
    """Have this process talk to Redis as a role from now on, until the test ends."""

    def as_role(role: str) -> None:
        settings.REDIS_URL = settings.QUEUE_URL = server.url_of(role)
        clock.forget()

    settings.DLQ_PREFIX, settings.CACHE_URL = server._prefix, ""
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


def test_the_web_parks_and_does_what_people_ask_for(become: Callable[[str], None]) -> None:
    become("web")
    one, two, three = parked(3)
    queue = dlq.stream.for_drain()
    assert actions.retry([one, two], "somebody") == 2
    assert actions.snooze([one], "somebody") == 1
    actions.pause("somebody")
    assert queue.activity.paused() is not None
    actions.resume("somebody")
    assert queue.activity.paused() is None
    assert actions.put_aside([two], "somebody") == 1
    assert quarantine.release(Quarantined.objects.get(key=two.key), by="somebody") == "parked"
    discards.request(three, reason="a test", by="somebody")
    discards.decide(Discard.objects.get(key=three.key), approve=True, by="another")
    assert queue.totals.depth() == 2 and queue.totals.stats().balanced


def test_what_was_parked_is_there_after_a_crash(become: Callable[[str], None], server: RoleRedis, writer: Any) -> None:
    become("web")
    published_keys.replace({"a digest": ["tests", ["write"]]})
    messages = parked(3)
    server.kill()
    server.start()
    queue = dlq.stream.for_drain()
    assert queue.totals.depth() == 3 and queue.totals.stats().balanced
    assert set(queue.pages.digests([message.key for message in messages])) == {message.key for message in messages}
    assert published_keys.find("a digest") == ["tests", ["write"]]


def test_the_web_shows_the_queue_and_keeps_the_copy_of_keys(become: Callable[[str], None], writer: Any) -> None:
    become("web")
    (message,) = parked()
    queue = dlq.stream.for_drain()
    assert queue.pages.get(message.id) is not None and queue.pages.page(limit=9)
    assert dlq.sample.makeup(queue) is not None
    dlq.history.samples(queue, 60)
    dlq.outage.current(queue), dlq.outage.blips(queue), queue.activity.beats()
    assert list(dlq.gauges.QueueGauges().collect())
    assert clock.skew().redis_s is not None
    tasks.publish_keys()
    assert published_keys.find(api_keys.digest(writer.key)) is not None
    published_keys.keep("issuer", "keys of tokens")
    assert published_keys.kept("issuer") == "keys of tokens"
    known_keys._announced = None
    known_keys.announce(keys.load().verifiers)
    rejection_counters.count("tests", [Refusal("malformed", 1, "no JSON", b"{")])
    limits.charge(Principal("tests", frozenset({"write"}), quotas=Quotas(events=9, epochs=2)), 1, 9, ["e"], sends=True)
    assert limits.usage("tests") == limits.Usage(1, 9, 1)
    copy = session_copy(session_copies.stamps("1"))
    for end in (lambda: session_copies.end("session"), lambda: session_copies.void("1")):
        session_copies.keep("session", copy)
        assert session_copies.find("session") == copy
        end()
        assert (session_copies.find("session"), session_copies._owed) == (None, {})
        session_copies._redis().delete(session_copies._key("ended", session_copies._digest("session")))


def session_copy(stamps: tuple[str, str]) -> SessionCopy:
    return SessionCopy(KnownPerson("1", "somebody", ()), time.time(), time.time(), stamps)


@pytest.mark.parametrize("role", ["drain", "worker"])
def test_the_drain_stores_mends_and_acts(
    become: Callable[[str], None], role: str, settings: Any, tmp_path: Path, capsys: Any
) -> None:
    settings.DLQ_SPOOL_DIR = tmp_path
    become("web")
    stored, kept, aside, waiting = parked(4)
    spooled = accept(an_event(), writer="tests")
    spool.append([document(spooled)], reason="database-down")
    become(role)
    queue = dlq.stream.for_drain()
    assert actions.snooze([waiting], "somebody") == 1
    assert actions.put_aside([aside], "somebody") == 1
    actions.pause("somebody")
    assert drain.drain(seconds=20).paused
    actions.resume("somebody")
    claimed = {message.key: message for message in queue.claim(9)}
    dead = claimed.pop(kept.key)
    assert queue.fail(dead, "Kind", "text", dead=True) == "dead"
    queue.release(claimed.values())
    assert queue.retry_now([dead.id]) == 1
    actions.rebuild("somebody")
    drain.drain(seconds=20)
    assert Record.objects.filter(id__in=[stored.key, kept.key, spooled.id]).count() == 3
    assert spool.keep_old(queue) == 0
    assert {stored.key, kept.key, str(spooled.id)} == {m.key for p in queue.kept.portions() for m in p.messages}
    assert refill.refill(by="somebody").here == 3
    assert [message.key for message in queue.pages.page(limit=9)] == [waiting.key]
    drain.mend_queue()
    dlq.history.sample(queue)
    outages.follow()
    dlq.alarm.notify()
    clock_alarm.alarm()
    queue.activity.beat("last_watch_at")
    call_command("dlq", "check")
    queue.acknowledge([waiting], "discarded")


def test_the_worker_ticks_publishes_and_gathers(become: Callable[[str], None], writer: Any) -> None:
    become("web")
    rejection_counters.count("tests", [Refusal("malformed", 1, "no JSON", b"{")])
    become("worker")
    assert "remaining" in tasks.tick()
    tasks.publish_keys()
    assert published_keys.find(api_keys.digest(writer.key)) is not None
    assert rejection_counters.gather() >= 1
    assert isinstance(known_keys.ignorant_of(keys.load().verifiers[0]), list)


def test_the_sealer_says_which_keys_it_knows_and_changes_nothing_else(
    become: Callable[[str], None],
) -> None:
    become("seal")
    known_keys._announced = None
    known_keys.announce(keys.load().verifiers)
    assert known_keys.ignorant_of(keys.load().verifiers[0]) == []
    assert clock.skew().redis_s is not None


def test_a_writers_client_parks_and_can_do_nothing_else(
    become: Callable[[str], None], server: RoleRedis, writer: Any
) -> None:
    keys = dlq.client.QueueKeys(server._prefix)
    body = json.dumps(an_event(event_id=uuid7())).encode()
    dlq_config = DLQConfig(redis_url=server.url_of("park"), prefix=server._prefix)
    assert ClientQueue(dlq_config, Signer(writer.key)).park([body]).verdict == "kept"
    with client_of(server, "park") as connection:
        acts: list[list[Any]] = [
            ["LRANGE", keys.inbox, 0, -1],
            ["LPOP", keys.inbox],
            ["LTRIM", keys.inbox, 1, 0],
            ["DEL", keys.inbox],
            ["RPUSH", keys.stream, "x"],
            ["XADD", keys.stream, "MAXLEN", 0, "*", "a", "b"],
            ["XRANGE", keys.stream, "-", "+"],
            ["HGETALL", published_keys.hash_name()],
            ["EVAL", "return 1", 0],
        ]
        assert [act for act in acts if not refused(lambda act=act: connection.execute_command(*act))] == []
    become("drain")
    assert drain.empty_inbox() == 1
    assert Record.objects.filter(id=json.loads(body)["event_id"], writer=writer.name).exists()


def test_tasks_go_through_their_own_role(server: RoleRedis) -> None:
    with client_of(server, "queue") as connection:
        broker = Broker.__new__(Broker)
        broker.connection, broker.list_key = connection, "django_q:auditsite:q"
        assert broker.ping() and broker.enqueue("a task") == 1 and broker.queue_size() == 1
        assert broker.dequeue() == [(None, b"a task")]
        broker.set_stat("django_q:auditsite:cluster:1", "busy", 3)
        assert broker.get_stat("django_q:auditsite:cluster:1") == b"busy"


def test_the_migration_can_check_how_redis_is_set_up(become: Callable[[str], None]) -> None:
    become("migrate")
    assert durability(None, databases=["default"]) == []
    session_copies.void(session_copies.EVERYBODY)
    assert session_copies._owed == {}


def refused(act: Callable[[], object]) -> bool:
    """Whether Redis has no permission for it."""
    try:
        act()
    except (Refused, published_keys.CopyUnavailable, redis.RedisError) as error:
        cause = error if isinstance(error, redis.RedisError) else error.__cause__
        assert isinstance(cause, redis.ResponseError) and re.search(NO_PERMISSION, str(cause)), repr(cause)
        return True
    return False


def test_the_backup_takes_a_copy_and_changes_nothing(become: Callable[[str], None], tmp_path: Path) -> None:
    become("web")
    (message,) = parked()
    become("backup")
    assert snapshot.save(tmp_path / "redis.rdb") == (tmp_path / "redis.rdb").stat().st_size
    assert message.key.encode() in (tmp_path / "redis.rdb").read_bytes()
    queue = dlq.stream.for_drain()
    assert refused(lambda: queue.claim(9)) and refused(lambda: queue.kept.make_room(1))


@pytest.mark.parametrize("role", ["web", "park", "drain", "worker", "seal", "queue", "migrate"])
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


@pytest.mark.parametrize("role", ["park", "drain", "seal", "queue", "migrate"])
def test_only_web_and_worker_publish_keys(become: Callable[[str], None], role: str) -> None:
    become(role)
    assert refused(lambda: published_keys.replace({"a digest": ["tests", ["write"]]}))
    assert refused(lambda: session_copies.keep("session", session_copy(("", ""))))


@pytest.mark.parametrize("role", ["park", "seal", "queue", "migrate"])
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
        assert limits.charge(writer, 1, 9, [], sends=True) is None
        assert limits.usage("tests") == limits.Usage(1, 9, 0)
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
