"""A PostgreSQL that takes connections over TLS and with a password alone."""

import secrets
import shutil
from collections.abc import Iterator

import pytest

from tests import servers
from tests.audit.postgres.connecting.encrypted import BY_PASSWORD, PASSWORD, EncryptedPostgres, Scene, programs
from tests.dlq.fleets import certificates


@pytest.fixture(scope="package")
def scene() -> Iterator[Scene]:
    if programs() is None:
        pytest.skip("needs a PostgreSQL that was built with TLS: apt-get install postgresql")
    folder = servers.FOLDER / f"encrypted-{secrets.token_hex(4)}"
    folder.mkdir()
    folder.chmod(0o755)
    known, unknown = certificates(folder / "known"), certificates(folder / "unknown")
    server = EncryptedPostgres(folder / "postgres", known)
    server.start()
    server.run(f"ALTER ROLE postgres PASSWORD '{PASSWORD}'")
    server.admit(*BY_PASSWORD)
    yield Scene(server, known, unknown)
    server.stop()
    shutil.rmtree(folder)
