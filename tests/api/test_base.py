"""What all views of the API have in common."""

import gc
import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.test import override_settings

from tests.audit.conftest import BATCH, EVENTS, Sender, an_event

TIMES = 10
# What the ingest process has of them: those of pages refer to their request themselves.
OF_INGEST = ("RequestId", "Host", "Security", "Access")

pytestmark = pytest.mark.usefixtures("own_queue")


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Nobody looks for garbage unless the test does, and it looks only at what is new."""
    gc.freeze()
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()


@pytest.fixture
def application() -> Iterator[WSGIHandler]:
    names = [name for name in settings.MIDDLEWARE if name.rpartition(".")[2].removesuffix("Middleware") in OF_INGEST]
    assert len(names) == len(OF_INGEST)
    with override_settings(MIDDLEWARE=names):
        yield WSGIHandler()


def asked(application: WSGIHandler, method: str, path: str, key: str, body: bytes = b"") -> int:
    """The status of a request that comes as a server hands it over, and is forgotten after its answer."""
    path, _, query = path.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "HTTP_AUTHORIZATION": f"Bearer {key}",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": BytesIO(body),
        "wsgi.url_scheme": "http",
    }
    response = application(environ, lambda *_: b"".__len__)
    response.close()
    return int(response.status_code)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", EVENTS, an_event, 201),
        ("POST", BATCH, lambda: [an_event(), an_event()], 201),
        ("POST", EVENTS, lambda: an_event(event_outcome="lost"), 400),
        ("POST", EVENTS, lambda: "no event", 400),
        ("GET", f"{EVENTS}?limit=2", None, 200),
        ("GET", f"{EVENTS}?lim=2", None, 400),
    ],
)
def test_what_was_sent_is_let_go_of_with_the_answer(
    application: WSGIHandler, method: str, path: str, body: Any, status: int, no_collector: None
) -> None:
    sender = Sender("write", "read")

    def ask() -> int:
        return asked(application, method, path, sender.key, json.dumps(body()).encode() if body else b"")

    assert ask() == status
    gc.collect()
    assert [ask() for _ in range(TIMES)] == [status] * TIMES
    # The collector stops every thread while it works: a request that leaves it something makes others wait.
    assert gc.collect() < TIMES
