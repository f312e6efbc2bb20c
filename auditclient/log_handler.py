"""A handler for `logging`: what is logged with `extra={"audit": {...}}` is an event. Everything else is passed over."""

import logging
from typing import Any

from auditclient.client import Client

# What these log may be about the event in hand: recorded, it would go round and round.
OWN = ("auditclient", "httpx", "httpcore", "redis")


class AuditHandler(logging.Handler):
    """Records the event of a log record; its message is `event_data.message` unless the event has one."""

    def __init__(self, client: Client, level: int = logging.NOTSET):
        super().__init__(level)
        self._client = client

    def emit(self, record: logging.LogRecord) -> None:
        """Record it. What cannot be kept is told of as `logging` tells of its own failures."""
        event: dict[str, Any] | None = getattr(record, "audit", None)
        if event is None or record.name.partition(".")[0] in OWN:
            return
        try:
            data = {"message": record.getMessage(), "logger": record.name} | dict(event.get("event_data") or {})
            self._client.record({"severity": record.levelname.lower(), **event, "event_data": data})
        except Exception:
            self.handleError(record)
