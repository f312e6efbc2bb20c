"""The person of a bench of pages comes in, and times no login page in place of a page."""

import threading
from collections.abc import Iterator
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.db import connections

from audit.access import sessions
from bench.pages.queue import LIST, Visitor


class Quiet(WSGIRequestHandler):
    """Writes no line for each request."""

    def log_message(self, *arguments: object) -> None:
        pass


class Site:
    """What a visitor needs of a fleet: the site itself, in a thread, on the databases of the tests."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.env: dict[str, str] = {}
        self._monkeypatch = monkeypatch
        self._server = make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=Quiet)
        self.site_port = self._server.server_port
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def manage(self, *command: str) -> None:
        for name, value in self.env.items():
            self._monkeypatch.setenv(name, value)
        call_command(*command)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _serve(self) -> None:
        self._server.serve_forever(poll_interval=0.01)
        connections.close_all()


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    site = Site(monkeypatch)
    yield site
    site.close()
    User.objects.filter(username="bench").delete()


@pytest.mark.slow
def test_a_visitor_logs_in_and_refuses_the_login_page_in_place_of_a_page(fleet: Site) -> None:
    visitor = Visitor(fleet)  # type: ignore[arg-type]
    assert "Dead letter queue" in visitor.get(LIST)
    sessions.end_all(User.objects.get(username="bench"), by="tests")
    with pytest.raises(RuntimeError, match=f"^{LIST}: the site asks who is there, so this would time its login page$"):
        visitor.get(LIST)
    assert "csrfmiddlewaretoken" in visitor.get("/admin/login/")  # which is asked for by its name
