"""Somebody with the password of Redis and access to the spool, but without the store's key; what becomes of each act.

The table "What Redis can do" in docs/attacks.md is made from FORGERIES.
"""

import base64
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.test import Client, override_settings

import dlq.alarm
import dlq.stream
from audit.access import api_keys, published_keys
from audit.formats.event import Accepted, accept
from audit.ingest.record import document
from audit.models import OWN_WRITER, Record, Writer
from audit.postgres.gateway import gateway
from audit.queue import drain, refill
from dlq import spool
from dlq.message import Message, digest_of
from tests import servers
from tests.attacks.scene import Scene
from tests.audit.conftest import EVENTS, an_event

# The writer whose events are genuine.
GENUINE = "gateway"
FORGED_FATE = "dead: Forged, told"
DAMAGED_FATE = "dead: Damaged, told"
NOTHING_NEW = "no second record"
REFUSED_FATE = "refused: 401"
NAMED_FATE = "refused by `manage.py refill`, and named"


class Forger:
    """The queue and the spool of a store, and what was really sent to it."""

    def __init__(self, spool_folder: Path):
        self.queue = dlq.stream.for_drain()
        self._spool_folder = spool_folder
        self._before = set(Record.objects.values_list("id", flat=True))
        self._genuine: set[tuple[str, str, str]] = set()

    def parked(self) -> dict[bytes, bytes]:
        """Have the store park a genuine event; return the fields of its entry."""
        event = self._sent()
        self.queue.park([document(event)], reason="database-down")
        ((_, fields),) = self.queue.redis.xrevrange(self.queue.keys.stream, count=1)
        return dict(fields)

    def put(self, fields: dict[bytes, bytes]) -> None:
        """Add an entry as parking does."""
        message_id = self.queue.redis.xadd(self.queue.keys.stream, fields)
        self.queue.redis.zadd(self.queue.keys.due, {message_id: 0})
        self.queue.redis.hset(self.queue.keys.ids, fields[b"key"], message_id)
        self.queue.redis.hincrby(self.queue.keys.stats, "enqueued", 1)

    def change_entry(self, fields: dict[bytes, bytes], **changes: bytes) -> None:
        """Put an entry of the queue in the place of the newest one, which it differs from in these fields."""
        ((message_id, _),) = self.queue.redis.xrevrange(self.queue.keys.stream, count=1)
        self.queue.redis.xdel(self.queue.keys.stream, message_id)
        self.queue.redis.zrem(self.queue.keys.due, message_id)
        self.put(fields | {name.encode(): value for name, value in changes.items()})

    def change_line(self, **changes: str) -> None:
        """Have the store write a genuine event to the spool, and change its line."""
        spool.append([document(self._sent())], reason="database-down")
        (path,) = self._spool_folder.glob("*.spool")
        path.write_bytes(json.dumps(json.loads(path.read_bytes()) | changes).encode() + b"\n")

    def add_line(self, event: Accepted) -> None:
        """Leave a file in the spool, as a process of the store does."""
        row = {"previous": spool.FIRST_HASH, "at": 1, "key": str(event.id), "digest": event.digest.hex()}
        row |= {"source": event.writer, "kind": event.event_type, "received_at": 1, "reason": "database-down"}
        row |= {"mac": secrets.token_hex(32), "body": base64.b64encode(event.body).decode()}
        (self._spool_folder / f"1-{secrets.token_hex(4)}.spool").write_bytes(json.dumps(row).encode() + b"\n")

    def keep(self, event: Accepted, mac: bytes) -> None:
        """Put an event among the drained ones that are kept, for a refill to find."""
        fields: dict[str, Any] = {"key": str(event.id), "digest": event.digest, "body": event.body}
        fields["source"] = event.writer
        fields |= {"kind": event.event_type, "received_at": event.received_at, "reason": "database-down", "mac": mac}
        assert self.queue.kept.keep([Message(id=f"{int(event.received_at.timestamp() * 1000)}-0", **fields)]) == 1

    def drained(self) -> str:
        """Drain everything, and say what became of the act."""
        drain.drain(seconds=20)
        dlq.alarm.notify()
        records = Record.objects.exclude(id__in=self._before)
        if {(str(record.id), record.writer, bytes(record.digest).hex()) for record in records} - self._genuine:
            return "STORED"
        kinds = {message.last_error_class for message in self.queue.pages.page(limit=9) if message.state == "dead"}
        if not kinds:
            return NOTHING_NEW
        told = self.queue.alarms.read()
        alarm = "forged_told" if kinds == {"Forged"} else "dead_told"
        return f"dead: {', '.join(sorted(kinds))}, {'told' if int(told.get(alarm, 0)) else 'NOT TOLD'}"

    def _sent(self) -> Accepted:
        event = accept(an_event(), writer=GENUINE)
        self._genuine.add((str(event.id), event.writer, event.digest.hex()))
        return event


def _as_the_store() -> Accepted:
    """An event in the name of the store itself, sound in every respect but its signature."""
    return accept(an_event(event_type="audit.review.signed", actor_id="cfo"), writer=OWN_WRITER)


def _entry(event: Accepted) -> dict[bytes, bytes]:
    fields = {"key": str(event.id), "source": event.writer, "kind": event.event_type, "received_at": "1"}
    encoded = {name.encode(): value.encode() for name, value in (fields | {"reason": "database-down"}).items()}
    return encoded | {b"digest": event.digest, b"body": event.body}


# --- The queue ----------------------------------------------------------------------------------


def unsigned_entry(forger: Forger) -> str:
    forger.put(_entry(_as_the_store()))
    return forger.drained()


def guessed_signature(forger: Forger) -> str:
    forger.put(_entry(_as_the_store()) | {b"mac": secrets.token_bytes(32)})
    return forger.drained()


def borrowed_signature(forger: Forger) -> str:
    forger.put(_entry(_as_the_store()) | {b"mac": forger.parked()[b"mac"]})
    return forger.drained()


def altered_body(forger: Forger) -> str:
    fields = forger.parked()
    forger.change_entry(fields, body=_altered(fields[b"body"]))
    return forger.drained()


def altered_body_and_digest(forger: Forger) -> str:
    fields = forger.parked()
    body = _altered(fields[b"body"])
    forger.change_entry(fields, body=body, digest=digest_of(body))
    return forger.drained()


def moved_entry(forger: Forger) -> str:
    forger.change_entry(forger.parked(), source=b"another writer")
    return forger.drained()


def moved_entry_and_body(forger: Forger) -> str:
    fields = forger.parked()
    body = fields[b"body"].replace(f'"{GENUINE}"'.encode(), b'"payments"')
    forger.change_entry(fields, source=b"payments", body=body, digest=digest_of(body))
    return forger.drained()


def earlier_receipt(forger: Forger) -> str:
    fields = forger.parked()
    forger.change_entry(fields, received_at=str(int(fields[b"received_at"]) - 86_400_000_000).encode())
    return forger.drained()


def replayed_entry(forger: Forger) -> str:
    fields = forger.parked()
    drain.drain(seconds=20)
    forger.put(fields)
    return forger.drained()


def _altered(body: bytes) -> bytes:
    altered = body.replace(b'"success"', b'"failure"')
    assert altered != body
    return altered


# --- The spool ----------------------------------------------------------------------------------


def added_line(forger: Forger) -> str:
    forger.add_line(_as_the_store())
    return forger.drained()


def altered_line(forger: Forger) -> str:
    forger.change_line(body=base64.b64encode(accept(an_event(), writer=GENUINE).body).decode())
    return forger.drained()


def moved_line(forger: Forger) -> str:
    forger.change_line(source="another writer")
    return forger.drained()


# --- The drained events that are kept ---------------------------------------------------------------


def kept_without_signature(forger: Forger) -> str:
    return _refilled(forger, b"")


def kept_with_the_signature_of_another(forger: Forger) -> str:
    return _refilled(forger, forger.parked()[b"mac"])


def kept_once_more(forger: Forger) -> str:
    """A genuine entry that was drained, put among those that are kept a second time."""
    fields = forger.parked()
    drain.drain(seconds=20)
    (portion,) = forger.queue.kept.portions()
    forger.queue.kept.keep(portion.messages)
    done = refill.refill(by="somebody")
    assert portion.messages[0].key.encode() == fields[b"key"] and done.here == 2
    return NOTHING_NEW if not done.stored else "STORED"


def _refilled(forger: Forger, mac: bytes) -> str:
    event = _as_the_store()
    forger.keep(event, mac)
    done = refill.refill(by="somebody")
    is_named = str(event.id) in json.dumps([str(each) for each in done.refusals])
    return NAMED_FATE if is_named and not Record.objects.filter(id=event.id).exists() else f"STORED {done}"


# --- The copy of the writers' keys ----------------------------------------------------------------


def invented_key(forger: Forger) -> str:
    """A key that gives itself every scope, with a signature as long as a real one."""
    text = json.dumps([GENUINE, ["write", "read", "export", "unredacted"], None, [], []])
    return _answer(lambda key: _put_key(key, f"{secrets.token_hex(32)} {text}".encode()))


def borrowed_entry(forger: Forger) -> str:
    """The signed entry of a genuine key, under the digest of one that the forger knows."""
    genuine = api_keys.issue(Writer.objects.create(name=GENUINE, scopes=["write", "read"]))
    copy = forger.queue.redis.hget(published_keys.hash_name(), api_keys.digest(genuine))
    return _answer(lambda key: _put_key(key, copy))


def widened_entry(forger: Forger) -> str:
    """A key of the forger's own, which may only read, given the scope to write."""
    mine = api_keys.issue(Writer.objects.create(name="reader", scopes=["read"]))
    mac, _, text = forger.queue.redis.hget(published_keys.hash_name(), api_keys.digest(mine)).partition(b" ")
    widened = mac + b" " + text.replace(b'["read"]', b'["write"]')
    return _answer(lambda key: _put_key(key, widened), mine)


def _put_key(key: str, entry: bytes) -> None:
    dlq.stream.for_drain().redis.hset(published_keys.hash_name(), api_keys.digest(key), entry)


def _answer(act: Callable[[str], None], key: str = "") -> str:
    """What the API answers to the key while PostgreSQL is away, when the copy alone is asked."""
    key = key or f"aw_forged_{secrets.token_hex(16)}"
    api_keys.publish()  # as each process does when it starts, and the worker each minute
    act(key)
    assert servers.postgres is not None
    servers.postgres.stop()
    try:
        api_keys.forget()
        headers = {"Authorization": f"Bearer {key}", "Host": "localhost"}
        answer = Client().post(EVENTS, json.dumps(an_event()), headers=headers, content_type="application/json")
    finally:
        servers.postgres.start()
        assert gateway().breaker.wait_closed(20)
        api_keys.forget()
    return f"{'refused' if answer.status_code in (401, 403) else 'ANSWERED'}: {answer.status_code}"


# --- All of them --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Forgery:
    """What a forger does, and what must become of it."""

    name: str
    act: Callable[[Forger], str]
    fate: str


FORGERIES = [
    Forgery("park an entry in a writer's name, without a signature", unsigned_entry, FORGED_FATE),
    Forgery("park an entry with a guessed signature", guessed_signature, FORGED_FATE),
    Forgery("park an entry with the signature of another", borrowed_signature, FORGED_FATE),
    Forgery("alter the body of a signed entry", altered_body, DAMAGED_FATE),
    Forgery("alter body and digest of a signed entry", altered_body_and_digest, FORGED_FATE),
    Forgery("move a signed entry to another writer's name", moved_entry, FORGED_FATE),
    Forgery("move a signed entry, its body and its digest", moved_entry_and_body, FORGED_FATE),
    Forgery("date the receipt of a signed entry back", earlier_receipt, FORGED_FATE),
    Forgery("replay a signed entry after it was stored", replayed_entry, NOTHING_NEW),
    Forgery("put a file with a line into the spool", added_line, FORGED_FATE),
    Forgery("alter the body of a line of the spool", altered_line, DAMAGED_FATE),
    Forgery("move a line of the spool to another writer's name", moved_line, FORGED_FATE),
    Forgery("put an event among the drained ones that are kept", kept_without_signature, NAMED_FATE),
    Forgery("put one there with the signature of another", kept_with_the_signature_of_another, NAMED_FATE),
    Forgery("put a drained entry there a second time", kept_once_more, NOTHING_NEW),
    Forgery("put a key into the copy of the writers' keys", invented_key, REFUSED_FATE),
    Forgery("give a key the signed entry of another", borrowed_entry, REFUSED_FATE),
    Forgery("give a key another scope", widened_entry, REFUSED_FATE),
]


def run_forgery(forgery: Forgery, scene: Scene, folder: Path) -> str:
    """Do it to a copy of the store, with a queue and a spool of their own; return what became of it."""
    spool_folder = folder / f"spool-{secrets.token_hex(4)}"
    spool_folder.mkdir()
    places = override_settings(DLQ_PREFIX=f"forger-{secrets.token_hex(4)}", DLQ_SPOOL_DIR=spool_folder)
    with scene.outside(), scene.fresh(), places:
        forger = Forger(spool_folder)
        try:
            return forgery.act(forger)
        finally:
            _remove_queue(forger)


def _remove_queue(forger: Forger) -> None:
    redis = forger.queue.redis
    for key in list(redis.scan_iter(match=f"*{forger.queue.keys.prefix}*", count=1000)):
        redis.delete(key)
