"""A client whose store and queue are both away: nothing listens where it looks for them."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from auditclient import Client, Config, DLQConfig

KEY = "aw_00000000_a-key-of-the-tests"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def a_config(tmp_path: Path) -> Callable[..., Config]:
    """Make a configuration of servers that are away."""

    def make(**changes: Any) -> Config:
        port = free_port()
        usual: dict[str, Any] = {
            "url": f"http://127.0.0.1:{port}/api/v1/audit",
            "key": KEY,
            "dlq": DLQConfig(redis_url=f"redis://127.0.0.1:{port}/0"),
            "spool_dir": tmp_path / "spool",
            "exit_s": 0.1,
        }
        return Config(**usual | changes)

    return make


@pytest.fixture
def client(a_config: Callable[..., Config]) -> Iterator[Client]:
    with Client(a_config()) as made:
        yield made


def an_event(**changes: Any) -> dict[str, Any]:
    return {"event_type": "shop.order.paid", "correlation_id": "order-1"} | changes
