"""The client of this process, and who acts in the request at hand."""

import threading
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, NamedTuple

from django.conf import settings
from django.db import transaction

from auditclient.client import Client
from auditclient.config import Config
from auditclient.events import plain

# Members of AUDITCLIENT that are about models; all others are those of `Config`, which AUDIT_* variables give as well.
OF_MODELS = ("models", "exclude")


class Actor(NamedTuple):
    """Who acts, for the events of a request."""

    type: str = "service"
    id: str = ""
    ip: str = ""
    correlation_id: str = ""


actor: ContextVar[Actor | None] = ContextVar("auditclient_actor", default=None)
_lock = threading.Lock()
_client: Client | None = None


def client() -> Client:
    """Return the client of this process, made at its first use. Raises `ConfigError`."""
    global _client
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
    who = actor.get() or Actor()
    document = {
        "actor_type": who.type,
        "actor_id": who.id or None,
        "actor_ip": who.ip or None,
        "correlation_id": who.correlation_id,
        **event,
    }
    if not document["correlation_id"]:
        document["correlation_id"] = document.get("resource_id") or "none"
    document["event_data"] = plain(document.get("event_data") or {})
    transaction.on_commit(lambda: _record(document), using=using)


def _record(document: dict[str, Any]) -> None:
    recording = client()
    # In a request its end waits for the disk, once for all of its events.
    recording.record(document, durability="process" if actor.get() is not None else None)
