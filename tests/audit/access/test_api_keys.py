"""Keys: shown once, kept as digests, stopped within seconds, checked without PostgreSQL."""

import hashlib
import hmac
import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.utils import timezone

import dlq.client
from audit import metrics
from audit.access import api_keys, published_keys
from audit.accounting import balance
from audit.ingest import rejection_counters, rejections
from audit.models import OWN_WRITER, Record, Rejection, WriterKey
from audit.postgres.gateway import gateway
from audit.queue import drain
from auditsite.front.body import Unread
from tests.audit.conftest import EVENTS, Sender, an_event


@pytest.fixture
def writer() -> Sender:
    """One whose keys a test may take away."""
    return Sender("write")


def command(*arguments: str) -> str:
    out = StringIO()
    call_command("writer", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue().strip()


def test_only_the_digest_of_a_key_is_kept_anywhere(writer: Sender) -> None:
    stored = WriterKey.objects.get(writer=writer.writer)
    secret = writer.key.removeprefix(f"{stored.prefix}_")  # which may have `_` of its own
    kept = [str(value) for value in stored.__dict__.values()]
    published = dlq.client.connect(dlq.client.DRAIN_TIMEOUT_MS).hgetall(published_keys.hash_name())
    everything = "".join([*kept, *map(repr, published.items())])
    assert len(secret) == 43
    assert secret not in everything
    assert api_keys.digest(writer.key) in everything


def test_a_revoked_key_stops_within_the_promised_time(writer: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.WRITER_KEY_TTL_S <= 5
    assert writer.post(an_event()).status_code == 201
    api_keys.revoke(writer.writer)
    assert writer.post(an_event()).status_code == 401


def test_another_process_trusts_a_revoked_key_no_longer_than_the_ttl(
    writer: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other process learns nothing of the revocation but what stands in Redis."""
    assert api_keys.check(writer.key)
    trusted = api_keys._cache.principal(api_keys.digest(writer.key))
    assert trusted is not None
    api_keys.revoke(writer.writer)
    api_keys._cache._known[api_keys.digest(writer.key)] = trusted
    assert api_keys.check(writer.key)
    monkeypatch.setattr("audit.access.api_keys.time.monotonic", lambda: trusted[0] + 0.001)
    assert api_keys.check(writer.key) is None


def test_after_a_rotation_both_keys_work_until_the_overlap_ends(writer: Sender) -> None:
    old, new = writer.key, api_keys.rotate(writer.writer, overlap=timedelta(hours=1))
    assert [api_keys.check(key) is not None for key in (old, new)] == [True, True]
    assert dlq.client.connect(dlq.client.DRAIN_TIMEOUT_MS).hexists(published_keys.hash_name(), api_keys.digest(old))
    ends = WriterKey.objects.get(digest=api_keys.digest(old)).expires_at
    assert ends is not None and timedelta(minutes=59) < ends - timezone.now() < timedelta(minutes=61)
    api_keys.rotate(writer.writer, overlap=timedelta(hours=9))
    assert WriterKey.objects.get(digest=api_keys.digest(old)).expires_at == ends
    writer.writer.keys.filter(expires_at=ends).update(expires_at=timezone.now() - timedelta(seconds=1))
    api_keys.publish()
    assert [api_keys.check(key) is not None for key in (old, new)] == [False, True]


def test_the_old_keys_can_be_revoked_at_once(writer: Sender) -> None:
    middle = api_keys.rotate(writer.writer, overlap=timedelta(hours=1))
    new = api_keys.rotate(writer.writer, overlap=timedelta(hours=1))
    assert api_keys.revoke_old(writer.writer) == 2
    assert [api_keys.check(key) is not None for key in (writer.key, middle, new)] == [False, False, True]
    last = api_keys.rotate(writer.writer, overlap=timedelta(0))
    assert [api_keys.check(key) is not None for key in (new, last)] == [False, True]


def test_when_a_key_was_used_is_known_to_the_minute(writer: Sender) -> None:
    key = WriterKey.objects.get(writer=writer.writer)
    before = timezone.now()
    assert writer.post(an_event()).status_code == 201
    key.refresh_from_db()
    assert key.used_at is not None and key.used_at >= before
    api_keys.forget()
    writer.get()
    assert WriterKey.objects.get(pk=key.pk).used_at == key.used_at
    WriterKey.objects.filter(pk=key.pk).update(used_at=before - timedelta(minutes=2))
    api_keys.forget()
    writer.get()
    assert WriterKey.objects.get(pk=key.pk).used_at >= before


@pytest.mark.parametrize("ended", [{"revoked_at": timezone.now()}, {"expires_at": timezone.now()}])
def test_requests_with_a_key_that_has_ended_are_counted_by_writer(writer: Sender, ended: dict[str, Any]) -> None:
    of_metric = metrics.ended_keys.labels(writer=writer.name)._value.get
    before = of_metric()
    WriterKey.objects.filter(writer=writer.writer).update(**ended)
    api_keys.publish()
    for answer in (writer.post(an_event()), writer.post([an_event()], path=f"{EVENTS}/batch"), writer.get()):
        assert answer.status_code == 401
    writer.key = f"aw_{secrets.token_hex(20)}"
    assert writer.post(an_event()).status_code == 401
    rejection_counters.gather()
    (counted,) = Rejection.objects.filter(writer=writer.name)
    assert (counted.reason, counted.events) == (rejections.ENDED_KEY, 3)
    assert of_metric() - before == 3
    day = counted.day
    assert balance.compute(day, day, writer=writer.name).total.rejected == 0


def test_an_expired_key_is_refused(writer: Sender) -> None:
    key = api_keys.issue(writer.writer, expires_at=timezone.now() - timedelta(seconds=1))
    assert api_keys.check(key) is None
    later = api_keys.issue(writer.writer, expires_at=timezone.now() + timedelta(hours=1))
    assert api_keys.check(later) is not None


def test_a_key_that_redis_lost_is_found_in_postgresql(writer: Sender) -> None:
    dlq.client.connect(dlq.client.DRAIN_TIMEOUT_MS).delete(published_keys.hash_name())
    api_keys.forget()
    assert writer.post(an_event()).status_code == 201
    api_keys.publish()


def test_another_installation_on_the_same_redis_has_a_copy_of_its_own(writer: Sender, settings: Any) -> None:
    ours, copies = published_keys.hash_name(), dlq.client.connect(dlq.client.DRAIN_TIMEOUT_MS)
    before = copies.hgetall(ours)
    settings.DLQ_PREFIX = f"other-{secrets.token_hex(6)}"
    rejection_counters.count(writer.name, [rejections.Refusal("a-reason", 1)])
    copies.hset(published_keys.hash_name(), mapping={"digest": "a key of the other installation"})
    assert copies.hgetall(ours) == before
    others = {key.decode() for key in copies.scan_iter(f"*{settings.DLQ_PREFIX}*")}
    assert published_keys.hash_name() in others
    assert len(others) == 3  # the copy of the keys, the day's rejections, and the list of days
    copies.delete(*others)


def test_a_flood_of_wrong_keys_fills_no_memory(writer: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    assert api_keys.check(writer.key)
    monkeypatch.setattr("audit.access.api_keys._ask_postgres", lambda *_: None)
    for number in range(api_keys.UNKNOWN_KEYS + 100):
        api_keys.check(f"wrong-{number}")
    assert len(api_keys._cache) == api_keys.UNKNOWN_KEYS + 1
    assert api_keys.check(writer.key)  # none of them pushed it out


@pytest.mark.slow
def test_a_flood_of_wrong_keys_from_many_threads_ends_in_none_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.access.api_keys._ask_postgres", lambda *_: None)
    monkeypatch.setattr("audit.access.api_keys.UNKNOWN_KEYS", 50)

    def flood(thread: int) -> int:
        return sum(api_keys.check(f"wrong-{thread}-{number}") is None for number in range(3_000))

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(flood, range(8))) == [3_000] * 8
    assert len(api_keys._cache) <= 50


def test_unknown_keys_of_one_network_cost_a_query_each_only_within_a_budget(
    writer: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(api_keys.unknown_keys, "_per_second", 0.0)  # however long these take
    ask = api_keys._ask_postgres
    monkeypatch.setattr(api_keys, "_ask_postgres", lambda *given: asked.append(given[0]) or ask(*given))
    api_keys.publish()

    def sent_from(address: str, key: str) -> int:
        headers = {"Authorization": f"Bearer {key}"}
        return int(writer.client.get(EVENTS, headers=headers, REMOTE_ADDR=address).status_code)

    # Of one /64, which one client has to itself.
    answers = {sent_from(f"2001:db8::{number:x}", f"wrong-{secrets.token_hex(8)}") for number in range(60)}
    assert answers == {401}
    assert len(asked) == 20
    asked.clear()
    assert sent_from("2001:db8::1", writer.key) == 403  # a good key is found all the same, in the copy
    assert asked == []
    assert sent_from("2001:db8:0:1::1", f"wrong-{secrets.token_hex(8)}") == 401
    assert len(asked) == 1  # another network has a budget of its own


def test_a_key_that_is_sent_again_costs_no_second_query(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(api_keys, "_ask_postgres", lambda key_digest, key: asked.append(key_digest))
    assert [api_keys.check("wrong") for _ in range(50)] == [None] * 50
    assert len(asked) == 1


@pytest.mark.parametrize("scopes", [["write"], ["read", "export", "unredacted"]])
def test_what_is_written_into_the_copy_in_redis_is_no_key(writer: Sender, scopes: list[str]) -> None:
    forged, copies = f"aw_forged_{secrets.token_hex(16)}", dlq.client.connect(dlq.client.DRAIN_TIMEOUT_MS)
    text = json.dumps([writer.name, scopes, None, [], [], []])
    mine = copies.hget(published_keys.hash_name(), api_keys.digest(writer.key))
    assert mine is not None
    other_mac = hmac.digest(b"a key that Redis can know", text.encode(), hashlib.sha256).hex()
    for entry in (text, f" {text}", f"{other_mac} {text}", mine, mine.partition(b" ")[0] + b" " + text.encode()):
        copies.hset(published_keys.hash_name(), api_keys.digest(forged), entry)
        assert published_keys.find(api_keys.digest(forged)) is None
    copies.hdel(published_keys.hash_name(), api_keys.digest(forged))
    assert published_keys.find(api_keys.digest(writer.key)) is not None


def test_the_copy_can_be_read_with_the_key_before_a_rotation(writer: Sender, settings: Any) -> None:
    api_keys.publish()
    settings.DLQ_ENTRY_KEY, settings.DLQ_ENTRY_OLD_KEYS = secrets.token_bytes(32), [settings.DLQ_ENTRY_KEY]
    assert published_keys.find(api_keys.digest(writer.key)) is not None


@pytest.mark.parametrize("copy", ["lost", "signed with a key that nobody knows", "of others"])
def test_while_postgresql_is_slow_the_copy_alone_ends_no_key(
    writer: Sender, monkeypatch: pytest.MonkeyPatch, copy: str
) -> None:
    """Nor is a key that nobody knows a good one then."""
    _spoil(copy, writer)
    monkeypatch.setattr(settings, "RECORD_TIMEOUT_MS", 0.001)
    for key, status in ((writer.key, 201), (f"aw_{secrets.token_hex(20)}", 401)):
        api_keys.forget()
        gateway().close()  # a new one has to connect first
        answer = writer.post(an_event(), headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code == status
    api_keys.publish()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("copy", "status"), [("lost", 503), ("signed with a key that nobody knows", 503), ("of others", 401)]
)
def test_while_postgresql_is_away_a_key_is_unknown_only_where_the_copy_is_whole(
    writer: Sender, postgres: Any, copy: str, status: int
) -> None:
    with postgres.stopped():
        _spoil(copy, writer)
        api_keys.forget()
        assert writer.post(an_event()).status_code == status
    api_keys.publish()


def _spoil(copy: str, writer: Sender) -> None:
    """Leave of the copy of the keys in Redis what says nothing good of the writer's."""
    if copy == "of others":
        published_keys.replace({"a digest": ["tests", ["write"]]})
    elif copy == "lost":
        dlq.client.connect(dlq.client.DRAIN_TIMEOUT_MS).delete(published_keys.hash_name())
    else:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(settings, "DLQ_ENTRY_KEY", secrets.token_bytes(32))
            published_keys.replace({api_keys.digest(writer.key): [writer.name, ["write"]]})


def test_a_request_whose_body_was_not_let_in_and_whose_key_is_then_found_may_come_again(writer: Sender) -> None:
    request = {"wsgi.input": Unread(), "CONTENT_LENGTH": "1000"}
    answer = writer.post(an_event(), **request)
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert "was not read: send it again" in answer.json()["detail"]


@pytest.mark.slow
def test_without_both_servers_a_key_cannot_be_checked_and_that_is_503(
    writer: Sender, postgres: Any, redis_server: Any
) -> None:
    with postgres.stopped(), redis_server.stopped():
        api_keys.forget()
        response = writer.post(an_event())
    assert response.status_code == 503
    assert "cannot be checked" in response.json()["detail"]


@pytest.mark.slow
def test_whoever_writes_to_redis_makes_no_key_of_the_store_itself(writer: Sender, postgres: Any) -> None:
    forged = f"aw_forged_{secrets.token_hex(16)}"
    copies = dlq.client.connect(dlq.client.DRAIN_TIMEOUT_MS)
    with postgres.stopped():
        api_keys.forget()
        writer_of_key = json.dumps([OWN_WRITER, ["write"], None, [], []])
        copies.hset(published_keys.hash_name(), api_keys.digest(forged), writer_of_key)
        headers = {"Authorization": f"Bearer {forged}"}
        review = json.dumps(an_event(event_type="audit.review.signed")).encode()
        answer = writer.client.post(EVENTS, review, headers=headers, content_type="application/json")
        copies.hdel(published_keys.hash_name(), api_keys.digest(forged))
    api_keys.forget()
    assert answer.status_code == 401


def test_the_command_makes_lists_rotates_and_revokes() -> None:
    first = command("create", "by-command", "--scopes", "write", "read")
    assert api_keys.check(first) == api_keys.Principal("by-command", frozenset({"write", "read"}))
    assert "by-command  write,read" in command("list")
    second = command("rotate", "by-command")
    assert all(api_keys.check(key) for key in (first, second))
    assert " until 20" in command("list")
    assert "1 keys of by-command revoked" in command("revoke", "by-command", "--old")
    assert (api_keys.check(first), bool(api_keys.check(second))) == (None, True)
    third = command("rotate", "by-command", "--overlap", "0")
    assert (api_keys.check(second), bool(api_keys.check(third))) == (None, True)
    assert "1 keys of by-command revoked" in command("revoke", "by-command")
    assert api_keys.check(third) is None
    acts = Record.objects.filter(correlation_id="writer-by-command").values_list("event_type", flat=True)
    assert set(acts) == {f"audit.writer.{act}" for act in ("created", "rotated", "revoked")}


@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "Bad Name"),
        ("create", "auditsite"),
        ("rotate", "nobody"),
        ("revoke", "nobody"),
        ("rotate", "kept", "--overlap", "-1"),
    ],
)
def test_the_command_says_what_is_wrong(arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        command(*arguments)


@pytest.mark.slow
def test_a_key_that_was_revoked_while_redis_was_away_stays_revoked(writer: Sender, redis_server: Any) -> None:
    assert writer.post(an_event()).status_code == 201
    with redis_server.stopped():
        api_keys.revoke(writer.writer)
    api_keys.forget()
    assert writer.post(an_event()).status_code == 401


@pytest.mark.parametrize("scopes", [(), ("write",)])
def test_head_tells_no_more_than_get(scopes: tuple[str, ...]) -> None:
    sender = Sender(*scopes)
    stored = Sender("write").post(an_event()).json()["event_id"]
    headers = {"Authorization": f"Bearer {sender.key}"}
    for path in (f"{EVENTS}/{stored}", EVENTS, "/api/v1/audit/checkpoint"):
        assert sender.client.head(path, headers=headers).status_code == 403, path
        assert sender.client.get(path, headers=headers).status_code == 403, path


@pytest.mark.slow
def test_while_neither_server_answers_known_keys_stay_good_and_others_are_503(
    writer: Sender, postgres: Any, redis_server: Any, settings: Any, tmp_path: Any
) -> None:
    settings.DLQ_SPOOL_DIR = tmp_path
    assert writer.post(an_event()).status_code == 201
    settings.WRITER_KEY_TTL_S = 0
    with postgres.stopped(), redis_server.stopped():
        assert [writer.post(an_event()).status_code for _ in range(3)] == [202] * 3
        stranger = Sender.__new__(Sender)
        stranger.__dict__ |= writer.__dict__ | {"key": "aw_unknown"}
        assert stranger.post(an_event()).status_code == 503
    api_keys.revoke(writer.writer)
    assert writer.post(an_event()).status_code == 401
    assert gateway().breaker.wait_closed(20)
    drain.drain(seconds=20)
