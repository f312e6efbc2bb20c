"""The client of this process, and who acts in the request at hand."""

import ipaddress
import threading
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.http import HttpRequest

from auditclient.client import Client, Receipt
from auditclient.config import Config
from auditclient.events import encode_plain, plain
from auditclient.ids import uuid7

# Members of AUDITCLIENT that are about models; all others are those of `Config`, which AUDIT_* variables give as well.
OF_MODELS = ("models", "exclude")
REQUEST_ID_CHARACTERS = 100
# Who acts where there is no request.
SERVICE = {"actor_type": "service"}


class Acting:
    """A request, for the events that are recorded in it."""

    __slots__ = ("_fields", "_request", "has_recorded")

    def __init__(self, request: HttpRequest):
        self._request = request
        self._fields: dict[str, str] = {}
        self.has_recorded = False

    @property
    def fields(self) -> dict[str, str]:
        """Who acts, from where, and the correlation. Asked at the first event: the user may cost a query."""
        return self._fields or self._ask()

    def _ask(self) -> dict[str, str]:
        user = getattr(self._request, "user", None)
        known = user is not None and user.is_authenticated
        fields = {
            "actor_type": "user" if known else "anonymous",
            # `request.headers` would copy all of them first.
            "correlation_id": self._request.META.get("HTTP_X_REQUEST_ID", "")[:REQUEST_ID_CHARACTERS] or uuid7(),
        }
        if known and user is not None:
            fields["actor_id"] = str(user.get_username())
        if address := _address(self._request.META.get("REMOTE_ADDR", "")):
            fields["actor_ip"] = address
        self._fields = fields
        return fields


acting: ContextVar[Acting | None] = ContextVar("auditclient_acting", default=None)
_lock = threading.Lock()
_client: Client | None = None


def client() -> Client:
    """Return the client of this process, made at its first use. Raises `ConfigError`."""
    global _client
    if _client is None:
        with _lock:
            if _client is None:
                _client = Client(Config.of_environment(**of_settings(models=False)))
    return _client


def of_settings(*, models: bool) -> dict[str, Any]:
    """Return the members of AUDITCLIENT that are about models, or all others."""
    given: dict[str, Any] = getattr(settings, "AUDITCLIENT", {})
    return {name: value for name, value in given.items() if (name in OF_MODELS) is models}


def record(event: Mapping[str, Any], *, using: str | None = None) -> None:
    """Record an event of the request at hand, once the transaction is committed; at once where there is none.

    A kill of the process loses nothing from then on, and it is on the disk before the answer to the request goes out.
    """
    document = _of_request(event)
    document["event_data"] = plain(event.get("event_data") or {})
    transaction.on_commit(lambda: _now(Client.record, document), using=using)


def record_whole(event: Mapping[str, Any], connection: BaseDatabaseWrapper) -> None:
    """Record an event as `record` does, that has all but who acts, its id and its time, and plain values alone.

    It is encoded at once: what cannot be raises `InvalidEvent` here, before the commit where there is a transaction.
    """
    body = encode_plain(_of_request(event))
    connection.on_commit(lambda: _now(Client.record_encoded, body))


def _of_request(event: Mapping[str, Any]) -> dict[str, Any]:
    """The event, with who acts and the correlation where it names none itself."""
    request = acting.get()
    document: dict[str, Any] = {**(request.fields if request is not None else SERVICE), **event}
    if not document.get("correlation_id"):
        document["correlation_id"] = document.get("resource_id") or "none"
    return document


def _now(record: Callable[..., Receipt], event: dict[str, Any] | bytes) -> None:
    request = acting.get()
    if request is None:
        record(client(), event)
        return
    # Its end waits for the disk, once for all of its events.
    request.has_recorded = True
    record(client(), event, durability="process")


@lru_cache(maxsize=1024)
def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:
        return ""
