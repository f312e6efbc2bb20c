"""Days of a scene, and a process that makes one and is killed after a write that is asked for."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from audit.archive.places import Place
from audit.archive.span import Span
from audit.errors import ArchiveUnusable
from audit.ledger import heads
from audit.streams.days import acts, make
from tests.audit.streams.conftest import Scene

DAY = "2026-11-27"
# What writes in a bucket.
CALLS = {"PutObject", "CompleteMultipartUpload", "PutObjectRetention"}


@pytest.fixture
def span(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Span]:
    """Lets what was sealed since the test began be the day."""

    def ends() -> Span:
        checkpoint = heads.give_out()
        found = Span(scene.first, checkpoint.size, checkpoint)
        monkeypatch.setattr(make, "span_of", lambda day: found)
        return found

    return ends


@pytest.fixture
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of three records, in groups of two."""
    monkeypatch.setattr(make, "RECORDS_PER_GROUP", 1)
    monkeypatch.setattr(make, "RECORDS_PER_FILE", 3)


class Killed(BaseException):
    """The process is gone: nothing of it does anything any more."""


class Writes:
    """Counts what is written, records too, and kills after one of them."""

    def __init__(self, last: int):
        self.last, self.count = last, 0

    def then(self, write: Callable[..., Any], wanted: Callable[..., bool] = lambda *_: True) -> Callable[..., Any]:
        def writes(*arguments: Any, **named: Any) -> Any:
            done = write(*arguments, **named)
            if wanted(*arguments):
                self.count += 1
                if self.count == self.last:
                    raise Killed
            return done

        return writes


def killed_after(number: int, make_day: Callable[[], object]) -> bool:
    """Make a day until so many writes are done; return whether it came to that."""
    writes, rename = Writes(number), Path.rename
    with ExitStack() as stack:
        stack.enter_context(patch.object(acts, "add", writes.then(acts.add)))
        stack.enter_context(patch.object(Path, "rename", lambda path, name: writes.then(rename)(path, name)))
        try:
            from botocore.client import BaseClient
        except ImportError:
            pass
        else:
            call = writes.then(BaseClient._make_api_call, lambda client, name, *_: name in CALLS)
            stack.enter_context(patch.object(BaseClient, "_make_api_call", call))
        try:
            make_day()
        except Killed:
            return True
    return False


def killed_after_each_write(
    root_of: Callable[[int], Place], made: Callable[[Any], object], step: int = 1
) -> Iterator[Any]:
    """Make a day in a place of its own for each of its writes, killed after it; yield each, gone on with to its end.

    With a `step` for each so many of them.
    """
    number = 1
    while killed_after(number, partial(made, root_of(number))):
        # Killed after its last write it is whole.
        with suppress(ArchiveUnusable):
            made(root_of(number))
        yield root_of(number)
        number += step
    assert number > 8, "there were fewer writes than a day of some files has"


def leaves_of(folder: Path) -> list[int]:
    """The log entries of all files of a folder, as whoever reads it as a table has them."""
    from pyarrow import parquet

    files = sorted(folder.glob("*.parquet"))
    return [
        index for file in files for index in parquet.read_table(file, columns=["leaf_index"])["leaf_index"].to_pylist()
    ]
