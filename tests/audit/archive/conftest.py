"""Scenes of archives: a folder with the newest leaves of the log in several volumes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit.archive import check, create
from audit.archive.places import Place
from audit.archive.span import read_span
from audit.ledger import reader, seal
from audit.models import Archive, ArchiveCheck
from tests.audit.evidence.conftest import ME, sealed

Archived = Callable[..., Archive]


@pytest.fixture
def small_parts(settings: Any) -> None:
    """Files of 4 records, and a volume of about two of them."""
    settings.EXPORT_VOLUME, settings.ARCHIVE_VOLUME_MB = 4, 0.006


def begun(folder: Place, count: int = 20, **changes: Any) -> Archive:
    """An archive of so many new records, of which nothing is written yet."""
    seal.Sealer().once()  # what others left, so that the newest leaves are ours
    sealed(count, **changes)
    size = reader.signed_head().size
    return create.create(ME, folder, read_span(str(size - count), str(size)))


def archived(folder: Place, count: int = 20, **changes: Any) -> Archive:
    made = create.resume(begun(folder, count, **changes), ME)
    assert made.state == "ready"
    return made


def checked(folder: Place, number: int | None = None) -> ArchiveCheck:
    return check.check(ME, folder, number)


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}
