"""Scenes of verification: a sealed log in a database of its own, to be changed behind the store's back."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from audit.ledger.verify import leaves
from tests import servers
from tests.attacks.catalogue import record_id, statement
from tests.attacks.scene import Scene


@pytest.fixture(scope="package")
def scene(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    if servers.postgres is None:
        pytest.skip("needs a PostgreSQL of its own to attack: unset DATABASE_URL")
    found = Scene(servers.postgres.url(), tmp_path_factory.mktemp("verify"))
    try:
        found.build()
        yield found
    finally:
        found.stop()


@pytest.fixture
def store(scene: Scene) -> Iterator[psycopg.Connection[Any]]:
    """600 sealed records in a database of their own, and a superuser's connection to it."""
    with scene.outside(), scene.fresh() as superuser:
        yield superuser


def edit(superuser: psycopg.Connection[Any], index: int) -> None:
    text = f"UPDATE audit_record SET actor_id = 'nobody' WHERE id = '{record_id(superuser, index)}'"
    statement(text)(superuser, None)  # type: ignore[arg-type]


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaves, "CHUNK", 32)
    monkeypatch.setattr(leaves, "SAVE_EVERY", 2)
