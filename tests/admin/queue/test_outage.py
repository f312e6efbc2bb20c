"""The pages of the queue while PostgreSQL is away: who reads them, what is kept of that, and who does not."""

import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.conf import settings as site
from django.contrib.auth.models import User
from django.test import Client

import dlq.client
import dlq.stream
from audit.access import sessions
from audit.access.outage import session_copies
from audit.models import AuditorScope, Record
from audit.postgres.gateway import gateway
from audit.queue import drain
from dlq.message import Message
from tests.admin.conftest import logged_in, parked_message, person
from tests.conftest import Breakable

PARKED = "/admin/audit/parked/"
# Leads back to the list, which costs more than all else here.
GONE = f"{PARKED}0-1/change/"
READ_ONLY = "Read-only until PostgreSQL is back"
LINK = f'<a href="{PARKED}">Read the dead letter queue</a>'

pytestmark = pytest.mark.slow  # servers are stopped and started


class Visitor:
    """Somebody who looked at the queue before the outage, and the cookie that their browser has since then."""

    def __init__(self, group: str | None = "operator", user: User | None = None):
        self.user = user or person(group)
        self.client = logged_in(self.user)
        self.client.get(GONE)
        self.session_key = self.client.cookies[site.SESSION_COOKIE_NAME].value

    def page(self, path: str = PARKED, **query: str) -> tuple[int, str]:
        """What is answered to the cookie, whatever became of the session."""
        client = Client()
        client.cookies[site.SESSION_COOKIE_NAME] = self.session_key
        response = client.get(path, query)
        return response.status_code, response.content.decode()

    def reads(self) -> bool:
        """Whether the queue opens; every other answer is the page of the outage."""
        status, text = self.page()
        assert (status, READ_ONLY in text, "PostgreSQL is not reachable" in text) in (
            (200, True, False),
            (503, False, True),
        )
        return status == 200


def address_of(message: Message) -> str:
    return f"{PARKED}{message.id}/change/"


def looks_that_wait(visitor: Visitor) -> list[dict[str, Any]]:
    entries = [fields[b"body"] for page in dlq.stream.for_drain().pages.entries() for _, fields in page]
    own = [json.loads(body) for body in entries if visitor.user.username.encode() in body]
    return [look for look in own if look["event_category"] == "access"]


def test_who_was_logged_in_reads_the_queue_and_each_look_is_a_record_afterwards(postgres: Breakable) -> None:
    operator, parked = Visitor(), parked_message(event_type=f"gateway.outage.{secrets.token_hex(4)}")
    with postgres.stopped():
        # Nothing has opened the breaker yet: that the session cannot be read is enough.
        status, listed = operator.page(type=parked.kind)
        assert (status, parked.key in listed, READ_ONLY in listed) == (200, True, True)
        assert "PostgreSQL has not answered" in listed
        status, shown = operator.page(address_of(parked))
        assert (status, "Content hash matches" in shown, READ_ONLY in shown) == (200, True, True)
        assert [page.count("<form method=") for page in (listed, shown)] == [1, 0]  # the filter, which is a GET
        assert [look["resource_id"] for look in looks_that_wait(operator)] == [
            "admin:audit_parked_changelist",
            parked.key,
        ]
        assert operator.client.post(f"{PARKED}pause/", {"want": "pause"}).status_code == 503
        assert operator.client.post(f"{PARKED}{parked.id}/retry/").status_code == 503
        assert dlq.stream.for_drain().activity.paused() is None
        assert [operator.page(path)[0] for path in ("/admin/", "/admin/audit/record/", f"{PARKED}export/")] == [503] * 3
        assert LINK in operator.page("/status")[1] and LINK in operator.page("/admin/")[1]
        assert LINK not in Client().get("/status").content.decode() + Client().get("/admin/").content.decode()
    assert gateway().breaker.wait_closed(30)
    status, again = operator.page()
    assert (status, READ_ONLY in again) == (200, False)
    drain.drain(seconds=30)
    looks = Record.objects.filter(actor_id=operator.user.username, event_data__session_copy=True)
    assert sorted(look.event_type for look in looks) == ["audit.record.viewed", "audit.records.searched"]
    assert {look.correlation_id for look in looks} == set(
        Record.objects.filter(actor_id=operator.user.username, event_category="access").values_list(
            "correlation_id", flat=True
        )
    )


def test_nobody_reads_it_whose_session_or_right_has_ended(postgres: Breakable, settings: Any) -> None:
    kept, scoped = Visitor(), Visitor("auditor")
    gone = {name: ending(name) for name in ENDINGS}
    AuditorScope.objects.create(user=scoped.user, categories=["gateway"])
    with postgres.stopped():
        gateway().breaker.open("test")
        assert {name: visitor.reads() for name, visitor in gone.items()} == dict.fromkeys(ENDINGS, False)
        assert kept.reads()
        assert not scoped.reads()  # until their next page in health
        settings.LOGIN_MFA = "required"
        assert not kept.reads()  # a factor was not demanded when the copy was made
    assert gateway().breaker.wait_closed(30)


ENDINGS: dict[str, Callable[[Visitor], object]] = {
    "logged out": lambda visitor: visitor.client.post("/admin/logout/"),
    "logged out everywhere": lambda visitor: sessions.end_all(visitor.user, by="somebody"),
    "deactivated": lambda visitor: change(visitor.user, is_active=False),
    "another password": lambda visitor: change(visitor.user, password="!"),
    "out of the group": lambda visitor: visitor.user.groups.clear(),
    "too old": lambda visitor: rewrite(visitor, began=time.time() - 8 * 3600 - 1),
    "not used": lambda visitor: rewrite(visitor, seen=time.time() - 30 * 60 - 1),
    "the copy of another session": lambda visitor: put(visitor, entry_of(Visitor())),
    "another name in the copy": lambda visitor: put(visitor, entry_of(visitor).replace(b"operator", b"overlord")),
    "no signature": lambda visitor: put(visitor, entry_of(visitor).partition(b" ")[2]),
    "brought back after the logout": lambda visitor: bring_back(visitor),
    "never had the right": lambda visitor: change(visitor, session_key=Visitor(None).session_key),
}


def ending(name: str) -> Visitor:
    visitor = Visitor()
    assert session_copies.find(visitor.session_key) is not None
    ENDINGS[name](visitor)
    return visitor


def change(row: Any, **values: Any) -> None:
    for name, value in values.items():
        setattr(row, name, value)
    if isinstance(row, User):
        row.save()


def place_of(visitor: Visitor) -> str:
    return session_copies._key(session_copies._digest(visitor.session_key))


def entry_of(visitor: Visitor) -> bytes:
    entry: Any = dlq.client.connect(5_000).get(place_of(visitor))
    assert entry is not None
    return bytes(entry)


def put(visitor: Visitor, entry: bytes) -> None:
    """As somebody does who has the password of Redis: without an end, too."""
    dlq.client.connect(5_000).set(place_of(visitor), entry)


def rewrite(visitor: Visitor, **times: float) -> None:
    """Make the copy one that the store itself kept at other times, and that Redis never let go."""
    copy = session_copies.find(visitor.session_key)
    assert copy is not None
    text = session_copies._packed(copy._replace(**times))
    put(visitor, session_copies._signed(session_copies._digest(visitor.session_key), text))


def bring_back(visitor: Visitor) -> None:
    """What another process wrote, that had read the session before it ended."""
    entry = entry_of(visitor)
    visitor.client.post("/admin/logout/")
    put(visitor, entry)


def test_scopes_hold_and_no_look_goes_without_a_record(postgres: Breakable) -> None:
    mine, others = (parked_message(event_category=f"c-{secrets.token_hex(4)}") for _ in range(2))
    user = person("auditor")
    AuditorScope.objects.create(user=user, categories=[json.loads(mine.body)["event_category"]])
    visitor = Visitor(user=user)
    with postgres.frozen():
        gateway().breaker.open("test")
        listed = [visitor.page(q=message.key)[1].count(f">{message.key}<") for message in (mine, others)]
        assert listed == [1, 0]
        assert [visitor.page(address_of(message))[0] for message in (mine, others)] == [200, 302]
        # A queue that takes no more, and no spool: Redis answers, and keeps nothing.
        with full_redis():
            status, text = visitor.page(address_of(mine))
            assert (status, "Nothing is shown now" in text, mine.key in text) == (503, True, False)
    assert gateway().breaker.wait_closed(30)


@contextmanager
def full_redis() -> Iterator[None]:
    connection = dlq.client.connect(5_000)
    before = connection.config_get("maxmemory")["maxmemory"]
    connection.config_set("maxmemory", 1)
    try:
        yield
    finally:
        connection.config_set("maxmemory", before)


def test_what_redis_missed_of_a_logout_it_is_told_first(redis_server: Breakable) -> None:
    visitor = Visitor()
    with redis_server.stopped():
        visitor.client.post("/admin/logout/")
    assert session_copies.find(visitor.session_key) is None


def test_a_copy_of_rights_that_changed_while_it_was_made_is_void() -> None:
    visitor = Visitor()
    read_before = session_copies.stamps(str(visitor.user.pk))
    copy = session_copies.find(visitor.session_key)
    assert copy is not None and copy.stamps == read_before
    visitor.user.groups.clear()
    session_copies.stamps(str(visitor.user.pk))  # another session of theirs is copied meanwhile
    session_copies.keep(visitor.session_key, copy)
    assert session_copies.find(visitor.session_key) is None
