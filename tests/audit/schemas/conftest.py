"""Scenes of schemas: types of their own, and schemas that hold at once."""

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from audit.models import EventSchema
from audit.schemas import in_force
from audit.schemas.register import register


def event_type() -> str:
    """A type that no other test has."""
    return f"schemas.t{secrets.token_hex(4)}"


def registered(of: str, document: Any, mode: str = "refuse", version: str = "") -> EventSchema:
    return register(json.dumps(document), of, version, mode=mode, reason="a test", by="ann")


@pytest.fixture(autouse=True)
def holds_at_once() -> Iterator[None]:
    """What a test has registered holds for it at once, and for no other test."""
    in_force.forget()
    yield
    in_force.forget()
