"""Who looks is recorded, and kept to his scope, while servers are down as well."""

import secrets

import dlq.stream
from audit.access import api_keys
from audit.formats import event
from dlq.message import Document
from tests.audit.conftest import EVENTS, Sender, an_event
from tests.conftest import Breakable


def parked(writer: str = "tests") -> str:
    one = event.accept(an_event(), writer=writer)
    document = Document(str(one.id), one.digest, one.body, writer, one.event_type, one.received_at)
    dlq.stream.for_drain().park([document], reason="database-down")
    return document.key


def looks_that_wait(name: str) -> int:
    entries = (fields for page in dlq.stream.for_drain().pages.entries() for _, fields in page)
    return sum(f'"actor_id":"{name}"'.encode() in fields[b"body"] for fields in entries)


def test_without_postgresql_a_look_at_the_queue_is_parked_itself(postgres: Breakable) -> None:
    service, key = Sender("read"), parked()
    with postgres.stopped():
        assert service.get(f"{EVENTS}/{key}").json()["state"] == "parked"
        assert looks_that_wait(service.name) == 1


def test_without_either_server_nothing_is_shown(postgres: Breakable, redis_server: Breakable) -> None:
    service, key = Sender("read"), parked()
    assert service.get(f"{EVENTS}/{key}").status_code == 200
    with postgres.stopped(), redis_server.stopped():
        assert service.get(f"{EVENTS}/{key}").status_code == 503


def test_a_key_keeps_its_scope_without_postgresql(postgres: Breakable) -> None:
    names = [f"w-{secrets.token_hex(4)}" for _ in range(2)]
    mine, other = (parked(name) for name in names)
    service = Sender("read")
    service.writer.reads_writers = names[:1]
    service.writer.save()
    api_keys.publish()
    with postgres.stopped():
        assert service.get(f"{EVENTS}/{mine}").status_code == 200
        assert service.get(f"{EVENTS}/{other}").status_code == 503
