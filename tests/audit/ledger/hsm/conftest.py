"""A token of one test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from audit.ledger.hsm import signer
from bench import softtoken
from bench.softtoken import SoftToken


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoftToken]:
    if lacks := softtoken.missing():
        pytest.skip(lacks)
    made = SoftToken(tmp_path)
    made.make()
    for name, value in made.env.items():
        monkeypatch.setenv(name, value)
    signer._holding.end()
    yield made
    signer._holding.end()
