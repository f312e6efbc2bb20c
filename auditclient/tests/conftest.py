"""A client whose store and queue are both away: nothing listens where it looks for them."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from auditclient import Client, Config, DLQConfig

KEY = "aw_00000000_a-key-of-the-tests"


@pytest.fixture
def nobody() -> Iterator[int]:
    """A port at which nobody listens, and nobody else can, for it is bound here."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture
def a_config(tmp_path: Path, nobody: int) -> Callable[..., Config]:
    """Make a configuration of servers that are away."""

    def make(**changes: Any) -> Config:
        usual: dict[str, Any] = {
            "url": f"http://127.0.0.1:{nobody}/api/v1/audit",
            "key": KEY,
            "dlq": DLQConfig(redis_url=f"redis://127.0.0.1:{nobody}/0"),
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
