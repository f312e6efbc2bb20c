"""The cast of the admin tests: a person of each group, one of none, and a superuser."""

import secrets
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

import dlq.stream
from audit.formats.event import accept
from audit.ingest.record import store
from audit.models import Record
from audit.postgres.gateway import gateway
from dlq.message import Document, Message
from tests.audit.conftest import an_event

try:
    import axe_core_python.sync_playwright  # noqa: F401
    import playwright.sync_api  # noqa: F401
except ImportError:
    # The tests of the browser are made of them; tests/admin/test_browser_tools.py says so in a line.
    collect_ignore = ["browser"]

OVERRIDE, ESCAPE = "\u202e", "\x1b"

TERMINAL = f"{ESCAPE}]0;owned\x07{ESCAPE}[2J{ESCAPE}[31m\x9b31m"

TURNED = f"invoice{OVERRIDE}fdp.exe\u2066\u200f\u061c"

SCRIPT = "<script>alert(1)</script>"


def person(group: str | None, **options: Any) -> User:
    user = User.objects.create_user(f"{group or 'person'}-{secrets.token_hex(4)}", is_staff=True, **options)
    if group is not None:
        user.groups.add(Group.objects.get(name=group))
    return user


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture(autouse=True)
def closed_breaker() -> None:
    """A test before may have stopped PostgreSQL: what is recorded now must not wait in the queue."""
    assert gateway().breaker.wait_closed(20), "the breaker did not close again: PostgreSQL is not back"


@pytest.fixture
def auditor() -> Client:
    return logged_in(person("auditor"))


@pytest.fixture
def operator() -> Client:
    return logged_in(person("operator"))


@pytest.fixture
def administrator() -> Client:
    return logged_in(person("administrator"))


@pytest.fixture
def outsider() -> Client:
    return logged_in(person(None))


@pytest.fixture
def superuser_client() -> Client:
    return logged_in(person(None, is_superuser=True))


def stored_record(**changes: Any) -> Record:
    accepted = accept(an_event(**changes), writer="tests")
    store([accepted], timeout_s=20)
    return Record.objects.get(id=accepted.id)


def parked_message(**changes: Any) -> Message:
    accepted = accept(an_event(**changes), writer="tests")
    document = Document(
        str(accepted.id), accepted.digest, accepted.body, "tests", accepted.event_type, accepted.received_at
    )
    dlq.stream.for_drain().park([document], reason="database-down")
    found = dlq.stream.for_drain().pages.find(document.key)
    assert found is not None
    return found


@pytest.fixture
def record() -> Record:
    return stored_record()


@pytest.fixture
def parked() -> Message:
    return parked_message()


def own(text: str) -> dict[str, Any]:
    """An event that has the text wherever there may be text, under names of its own."""
    mark = secrets.token_hex(4)
    fields = ("correlation_id", "actor_id", "resource_id")
    texts = {name: f"{text[:200]}{mark}{name}" for name in fields}
    more = {"actor_type": text[:50], "resource_type": text[:50], "namespace": text[:50], "cluster_id": text[:50]}
    data = {text: text, "before": {text: 1, "x": text}, "after": {"x": [text]}, "list": [text, {text: {text: text}}]}
    return (
        texts | more | {"error_message": text, "error_code": text[:50], "event_action": text[:50], "event_data": data}
    )
