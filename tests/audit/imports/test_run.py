"""A file is imported once, whatever cuts the import off, and in bounded memory."""

import gzip
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from audit.imports import catalogue, known, place, run
from audit.models import Record
from tests.audit.imports.conftest import a_trail_event

CLOUDTRAIL = catalogue.find("cloudtrail")


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.fixture(autouse=True)
def _small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "PORTION", 3)
    monkeypatch.setattr(run, "SAVED_EVERY_S", 0.0)


def a_file(folder: Path, count: int) -> tuple[str, list[dict[str, Any]]]:
    events = [a_trail_event(eventTime=f"2026-03-17T17:00:{number:02}Z") for number in range(count)]
    path = folder / "trail.json.gz"
    path.write_bytes(gzip.compress(json.dumps({"Records": events}).encode()))
    return str(path), events


def is_known(name: str, writer: str) -> bool:
    """Whether the store knows how far a file was imported."""
    return place.find(place.key_of(name, CLOUDTRAIL, writer)) is not None


def stored(writer: str) -> list[Any]:
    return [row.event_data for row in Record.objects.filter(writer=writer).order_by("event_timestamp")]


def test_an_import_that_is_cut_off_goes_on_where_it_was(tmp_path: Path, foreign_writer: str) -> None:
    name, events = a_file(tmp_path, 20)

    def kill_at(portions: int) -> Any:
        seen = iter(range(portions))

        def progress(*_: Any) -> None:
            if next(seen, None) is None:
                raise Killed

        return progress

    for portions in (1, 0, 2):
        with pytest.raises(Killed):
            run.run(name, CLOUDTRAIL, writer=foreign_writer, progress=kill_at(portions))
    assert is_known(name, foreign_writer)
    summary = run.run(name, CLOUDTRAIL, writer=foreign_writer)
    assert stored(foreign_writer) == events
    assert summary.began_at is not None
    assert summary.events + summary.began_at.state["count"] == 20
    assert (summary.is_whole, summary.counts["duplicate"]) == (True, 0)
    assert not is_known(name, foreign_writer)
    again = run.run(name, CLOUDTRAIL, writer=foreign_writer)
    assert (dict(again.counts), again.began_at, again.digest) == ({"duplicate": 20}, None, summary.digest)


def test_events_are_looked_up_first_only_where_they_may_be_here(
    tmp_path: Path, foreign_writer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    look = known.look

    def counted(events: Any) -> Any:
        asked.append(len(events))
        return look(events)

    monkeypatch.setattr(known, "look", counted)
    name, _ = a_file(tmp_path, 12)
    run.run(name, CLOUDTRAIL, writer=foreign_writer)
    assert asked == [3]
    assert dict(run.run(name, CLOUDTRAIL, writer=foreign_writer).counts) == {"duplicate": 12}
    assert asked == [3] + [3] * 4


def test_of_a_file_that_was_changed_nothing_is_passed_over(tmp_path: Path, foreign_writer: str) -> None:
    name, _ = a_file(tmp_path, 9)
    stop = threading.Event()
    stop.set()
    summary = run.run(name, CLOUDTRAIL, writer=foreign_writer, stop=stop)
    assert (summary.events, summary.is_whole) == (3, False)
    name, events = a_file(tmp_path, 9)
    summary = run.run(name, CLOUDTRAIL, writer=foreign_writer)
    assert (summary.began_at, dict(summary.counts)) == (None, {"stored": 9})
    assert all(event in stored(foreign_writer) for event in events)


def test_what_is_wrong_is_named_by_its_place_and_what_is_not_mapped_by_its_name(
    tmp_path: Path, foreign_writer: str
) -> None:
    path = tmp_path / "lines"
    good = a_trail_event(newMember=1, userIdentity={"arn": "a", "newer": {"x": 1}})
    path.write_text(f"{json.dumps(good)}\nnot json\n\n{json.dumps(good | {'eventTime': 5})}\n", encoding="utf-8")
    summary = run.run(str(path), CLOUDTRAIL, writer=foreign_writer)
    assert dict(summary.counts) == {"stored": 1, "dead": 2}
    assert [(fault.place, fault.state, set(fault.errors)) for fault in summary.faults] == [
        ("line 2", "dead", {""}),
        ("line 4", "dead", {"event_timestamp"}),
    ]
    assert summary.unmapped["newMember"] == 2
    assert summary.unmapped["userIdentity.newer"] == 2


def test_a_dry_run_keeps_nothing(tmp_path: Path, foreign_writer: str) -> None:
    name, _ = a_file(tmp_path, 7)
    summary = run.run(name, CLOUDTRAIL, writer=foreign_writer, dry_run=True)
    assert (dict(summary.counts), summary.is_whole) == ({"mapped": 7}, True)
    assert stored(foreign_writer) == []
    assert not is_known(name, foreign_writer)


def test_a_file_that_ends_in_its_middle_is_imported_as_far_as_it_goes(tmp_path: Path, foreign_writer: str) -> None:
    path = tmp_path / "cut"
    path.write_text(json.dumps([a_trail_event() for _ in range(8)], indent=1)[:-40], encoding="utf-8")
    summary = run.run(str(path), CLOUDTRAIL, writer=foreign_writer)
    assert (dict(summary.counts), summary.is_whole) == ({"stored": 7}, False)
    assert "not JSON" in summary.broken
