"""Scenes of archives: a folder with the newest leaves of the log in several volumes."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from audit.archive import check, create
from audit.archive.places import Place
from audit.archive.span import read_span
from audit.ledger import reader, seal
from audit.models import Archive, ArchiveCheck
from tests.audit.evidence.conftest import ME, sealed

Archived = Callable[..., Archive]


# Files of 4 records, and a volume of about two of them.
SMALL_PARTS = {"EXPORT_VOLUME": 4, "ARCHIVE_VOLUME_MB": 0.006}


@pytest.fixture
def small_parts() -> Iterator[None]:
    with override_settings(**SMALL_PARTS):
        yield


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


KILLED = """
import os, signal, sys
import django
django.setup()
from django.conf import settings
settings.EXPORT_VOLUME, settings.ARCHIVE_VOLUME_MB = 4, 0.006
from audit.archive import create
from audit.evidence.request import Requester
from audit.models import Archive
archive = Archive.objects.get(pk=sys.argv[1])
def progress(done, total):
    if archive.volumes.count() == 2 and done > archive.done:
        os.kill(os.getpid(), signal.SIGKILL)
create.resume(archive, Requester("tests"), progress)
"""


def killed_at_its_third_volume(archive: Archive, **environment: str) -> None:
    """A process makes the archive, and kills itself with SIGKILL once two volumes are whole."""
    command = [sys.executable, "-c", KILLED, str(archive.pk)]
    run = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)
    assert run.returncode == -signal.SIGKILL, run.stderr
