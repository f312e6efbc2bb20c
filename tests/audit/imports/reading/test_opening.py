"""A file that is damaged gives all that is before the damage, read in parts as large as an import reads them."""

import gzip
import io
import json
import secrets
import zlib
from pathlib import Path
from typing import Any

import pytest

from audit.imports import catalogue
from audit.imports.read import Events
from audit.imports.reading.opening import PART_BYTES, UNZIPPED_BYTES, FileUnreadable, Source, opened
from audit.imports.reading.window import Window

TRAIL = catalogue.find("cloudtrail")
EVENTS = [{"eventID": secrets.token_hex(20), "n": number} for number in range(1_000)]
LINES = "".join(json.dumps(event) + "\n" for event in EVENTS).encode()
FORMS = {
    "lines": LINES,
    "records in one line": json.dumps({"Records": EVENTS}).encode(),
    "an array": json.dumps(EVENTS, indent=1).encode(),
}


def events_of(path: Path) -> list[Any]:
    """The events that are read before the file is told to be damaged."""
    found: list[Any] = []
    with opened(str(path)) as file, pytest.raises(FileUnreadable, match="cannot be read after"):
        for item in Events(Window(file), TRAIL):
            found.append(item.original)
    return found


def unzipped(data: bytes) -> bytes:
    return zlib.decompressobj(31).decompress(data)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("missing", [4, 9])
def test_of_a_file_whose_last_bytes_are_missing_each_event_comes(tmp_path: Path, form: str, missing: int) -> None:
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(FORMS[form])[:-missing])
    found = events_of(path)
    # Without its last nine bytes a file lacks its last characters, too.
    assert found == (EVENTS if missing == 4 else EVENTS[: len(found)])
    assert len(found) >= len(EVENTS) - 5


@pytest.mark.parametrize("form", FORMS)
def test_of_a_small_file_in_one_line_what_is_there_comes(tmp_path: Path, form: str) -> None:
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(FORMS[form][:500], mtime=0)[:-2])
    found = events_of(path)
    assert found == EVENTS[: len(found)]
    assert len(found) >= 4


def test_of_a_file_that_is_cut_in_its_middle_each_whole_line_comes(tmp_path: Path) -> None:
    path, data = tmp_path / "file.gz", gzip.compress(LINES)
    data = data[: len(data) // 2]
    path.write_bytes(data)
    assert events_of(path) == EVENTS[: unzipped(data).count(b"\n")]


def test_what_follows_a_whole_file_and_is_none_costs_nothing_that_is_before_it(tmp_path: Path) -> None:
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(LINES) + b"what a disk had there")
    assert events_of(path) == EVENTS


def test_damage_in_a_large_file_costs_no_more_before_it_than_is_unzipped_at_once(tmp_path: Path) -> None:
    text = secrets.token_hex(PART_BYTES).encode()  # two parts
    data = bytearray(gzip.compress(text, compresslevel=1))
    data[len(data) * 7 // 8 :] = b"\xff" * (len(data) - len(data) * 7 // 8)
    source, read = Source(io.BytesIO(bytes(data)), "a file", None).unzipped(), b""
    with pytest.raises(FileUnreadable, match="a file cannot be read after"):
        while part := source.part():
            read += part
    good = next(at for at in range(0, len(text), 256) if read[at : at + 256] != text[at : at + 256])
    assert good > len(text) * 7 // 8 - UNZIPPED_BYTES - 256


def test_a_part_is_as_long_as_was_asked_for_until_the_end() -> None:
    source = Source(io.BytesIO(gzip.compress(LINES)), "a file", None).unzipped()
    parts = [source.part(40_000), source.part(40_000), source.part(40_000), source.part(40_000)]
    assert b"".join(parts) == LINES
    assert [len(part) for part in parts] == [40_000, len(LINES) - 40_000, 0, 0]
