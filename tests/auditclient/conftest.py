"""The site behind a real socket, with this session's servers; and clients that send to it."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.db import connections

from auditclient import Client, Config, DLQConfig
from bench.ports import free_port
from tests.audit.conftest import Sender, an_event, reader, service, writer
from tests.servers import RECEIPT_KEY

__all__ = ["an_event", "reader", "service", "writer"]


class Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *values: Any) -> None:
        """Nobody reads it."""


class Site:
    """The site, which may be stopped and started again at the same port."""

    def __init__(self) -> None:
        self._application = WSGIHandler()
        self._port = free_port()  # which nobody is given while it is stopped
        self._server: WSGIServer | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/api/v1/audit"

    def start(self) -> None:
        self._server = make_server("127.0.0.1", self._port, self._application, handler_class=Quiet)
        threading.Thread(target=self._serve, args=(self._server,), daemon=True).start()

    def stop(self) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    @staticmethod
    def _serve(server: WSGIServer) -> None:
        server.serve_forever(poll_interval=0.01)
        connections.close_all()


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.stop()


@pytest.fixture
def a_client(site: Site, tmp_path: Path, writer: Sender) -> Iterator[Callable[..., Client]]:
    """Make clients of the site; all are closed at the end."""
    made: list[Client] = []

    def make(**changes: Any) -> Client:
        usual: dict[str, Any] = {
            "url": site.url,
            "key": writer.key,
            "dlq": DLQConfig(redis_url=settings.REDIS_URL, prefix=settings.DLQ_PREFIX),
            "spool_dir": tmp_path / "spool",
            "batch_age_s": 0.01,
            "exit_s": 60,
            "receipt_keys": (str(RECEIPT_KEY),),
        }
        made.append(Client(Config(**usual | changes)))
        return made[-1]

    yield make
    for client in made:
        client.close()
