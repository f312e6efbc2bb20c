"""Scenes of the log: sealed, in a database of its own, changed behind the store's back or restored from an old copy."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from audit.formats import crosslink, note
from audit.ledger import resume
from audit.ledger.verify import leaves
from tests.attacks.catalogue import record_id, statement
from tests.attacks.scene import Scene
from tests.servers import SEAL_KEY

# So many more that wait for the sealer, for an hour; and how many of all that wait a transaction has read.
QUEUED = """
WITH queued AS (
    INSERT INTO audit_unsealed (record_id, leaf_hash, stored_at)
    SELECT gen_random_uuid(), sha256(n::text::bytea), now() - interval '1 hour' FROM generate_series(1, %s) n
    RETURNING 1
) SELECT count(*) FROM queued
"""
READ = "SELECT pg_stat_get_xact_tuples_returned('audit_unsealed'::regclass)"
# How many records the log has, and how many the old copy of it that is restored.
WHOLE, EARLY = 600, 400


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
    monkeypatch.setattr(leaves, "CHUNK", 64)
    monkeypatch.setattr(leaves, "SAVE_EVERY_S", 0.0)


@pytest.fixture
def key_files(tmp_path: Path, settings: Any) -> Path:
    """The key of the log in a file, so that it can be replaced."""
    path = tmp_path / "seal_key"
    path.write_text(SEAL_KEY.encode(), encoding="utf-8")
    settings.SEAL_KEY, settings.SEAL_PUBLIC_KEYS = "", ""
    settings.SEAL_KEY_FILE, settings.SEAL_PUBLIC_KEYS_FILE = path, tmp_path / "seal_key.pub"
    settings.SEAL_PUBLIC_KEYS_FILE.write_text(f"{SEAL_KEY}\n", encoding="utf-8")
    return path


@pytest.fixture
def restored(elsewhere: Scene, key_files: Path, settings: Any) -> Iterator[Scene]:
    """A store that was restored from a backup of 400 records, while anchor and witness have seen 600."""
    elsewhere.restore_early()
    settings.SEAL_ANCHOR_FILE, settings.SEAL_ANCHOR_S = elsewhere.anchor, 0
    settings.SEAL_WITNESSES = [elsewhere.witness]
    yield elsewhere


def go_on(reason: str = "the disk burned") -> crosslink.CrossLink:
    """Ask, approve and carry out."""
    row = resume.request(reason, by="olga")
    resume.decide(row, approve=True, by="carla")
    _, signed = resume.resume()
    return crosslink.CrossLink.parse(note.split(signed)[0])
