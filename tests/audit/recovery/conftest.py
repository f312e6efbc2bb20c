"""A store that can be backed up into a folder."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audit.ledger.seal import Sealer
from auditsite.embedded import Postgres
from tests import servers
from tests.audit.conftest import send


@pytest.fixture
def sealed_store(settings: Any, tmp_path: Path) -> str:
    """A store with a sealed record, an anchor and a spool; the id of the record."""
    if servers.postgres is None:
        pytest.skip("the server was given: nobody may replicate from it here")
    settings.DATABASE_BACKUP_URL = servers.postgres.url()
    settings.SEAL_ANCHOR_FILE = tmp_path / "checkpoints"
    settings.DLQ_SPOOL_DIR = tmp_path / "spool"
    settings.DLQ_SPOOL_DIR.mkdir()
    (event,) = send(1)
    while Sealer().once(from_start=True).more:
        pass
    return str(event.id)


@pytest.fixture
def another_postgres() -> Iterator[Postgres]:
    """A server that was not started yet, in a folder that PostgreSQL's own user reaches."""
    folder = Path(tempfile.mkdtemp(prefix="auditsite-restored-"))
    folder.chmod(0o755)
    server = Postgres(folder / "postgres")
    yield server
    server.stop()
    shutil.rmtree(folder)
