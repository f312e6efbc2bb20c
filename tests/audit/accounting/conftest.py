"""A queue of a test's own, so that its figures are known."""

import secrets
from collections.abc import Iterator

import pytest
from django.test import override_settings


@pytest.fixture
def own_queue() -> Iterator[None]:
    """A queue that no other test spoils."""
    with override_settings(DLQ_PREFIX=f"test-{secrets.token_hex(6)}"):
        yield
