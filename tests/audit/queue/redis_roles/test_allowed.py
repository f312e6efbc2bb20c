"""Each role of deploy/redis/queue.acl can do what its processes do."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
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
from audit.formats.event import accept
from audit.ingest import clock_alarm, erasure_rules, rejection_counters, signed_copies
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
from dlq import snapshot, spool
from dlq.checks import durability
from tests.audit.conftest import an_event
from tests.audit.queue.redis_roles.conftest import RoleRedis, client_of, parked, refused, session_copy


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
    assert signed_copies.get(erasure_rules.COPY) is not None
    published_keys.keep("issuer", "keys of tokens")
    assert published_keys.kept("issuer") == "keys of tokens"
    known_keys._announced.clear()
    known_keys.announce(keys.load().verifiers)
    known_keys.announce(keys.receipts().verifiers, of=known_keys.RECEIPTS)
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
    assert signed_copies.get(erasure_rules.COPY) is not None
    assert rejection_counters.gather() >= 1
    assert isinstance(known_keys.ignorant_of(keys.load().verifiers[0]), list)


@pytest.mark.parametrize("role", ["seal", "stream"])
def test_sealer_and_streamer_say_which_keys_they_know_and_change_nothing_else(
    become: Callable[[str], None], role: str
) -> None:
    become(role)
    known_keys._announced.clear()
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


def test_the_backup_takes_a_copy_and_changes_nothing(become: Callable[[str], None], tmp_path: Path) -> None:
    become("web")
    (message,) = parked()
    become("backup")
    assert snapshot.save(tmp_path / "redis.rdb") == (tmp_path / "redis.rdb").stat().st_size
    assert message.key.encode() in (tmp_path / "redis.rdb").read_bytes()
    queue = dlq.stream.for_drain()
    assert refused(lambda: queue.claim(9)) and refused(lambda: queue.kept.make_room(1))
