"""Audit events that are kept before `record` returns, and reach the store once: the client of the audit store."""

from auditclient.aio import AsyncClient
from auditclient.client import Client, Flushed, Receipt
from auditclient.config import Config, DLQConfig
from auditclient.errors import AuditError, Closed, ConfigError, InvalidEvent, NotAReceipt, NotKept

__all__ = [
    "AsyncClient",
    "AuditError",
    "Client",
    "Closed",
    "Config",
    "ConfigError",
    "DLQConfig",
    "Flushed",
    "InvalidEvent",
    "NotAReceipt",
    "NotKept",
    "Receipt",
]
