"""Processes convert beside an import: what comes of a file, and in which order, is the same whatever is killed."""

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from audit.formats import event
from audit.formats.erasable.rules import Rule, Rules
from audit.imports import catalogue, convert, converters, run
from audit.imports.converters import Converted, Converters, EventsMissing
from audit.imports.read import Piece, read
from audit.models import Record, Writer
from tests.audit.imports.conftest import a_trail_event

ROOT = Path(__file__).parents[3]
CLOUDTRAIL = catalogue.find("cloudtrail")
EVENTS = 40


def imported(what: str, path: Path, writer: str, *options: str) -> "subprocess.CompletedProcess[str]":
    """Run the command in a group of its own; `what` is done on the way. One that hangs is a failure."""
    command = [sys.executable, "-m", "tests.audit.imports.importing", what]
    command += ["cloudtrail", str(path), "--writer", writer, *options]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ, capture_output=True, text=True, start_new_session=True, timeout=120
    )


def goes_on(path: Path, writer: str, events: list[dict[str, Any]]) -> bool:
    """Whether the import is run again from where it was cut off, and all is stored then, in the order of the file."""
    again = imported("nothing", path, writer, "--processes", "2")
    assert (again.returncode, "went on after" in again.stdout) == (0, True), again.stderr
    return stored(writer) == events


def a_file(folder: Path) -> tuple[Path, list[dict[str, Any]]]:
    """Events of a trail, each a second before the one that precedes it in the file."""
    events = [a_trail_event(eventTime=f"2026-03-17T17:00:{59 - number:02}Z") for number in range(EVENTS)]
    path = folder / "trail.json"
    path.write_text(json.dumps({"Records": events}), encoding="utf-8")
    return path, events


def stored(writer: str) -> list[dict[str, Any]]:
    """The originals of its records in the order in which portions were stored; within one, that of the file."""
    rows = Record.objects.filter(writer=writer).order_by("stored_at", "-event_timestamp")
    return [row.event_data for row in rows]


def converters_of(printed: str) -> list[int]:
    (line,) = [line for line in printed.splitlines() if line.startswith("converters ")]
    return [int(word) for word in line.split()[1:]]


def are_gone(ids: list[int]) -> bool:
    """Whether the processes end, within half a minute."""
    deadline = time.monotonic() + 30
    while any(psutil.pid_exists(number) and not is_zombie(number) for number in ids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def is_zombie(number: int) -> bool:
    """Of a process whose parent was killed somebody else learns how it ended, sooner or later."""
    try:
        return psutil.Process(number).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.slow
def test_events_are_stored_in_the_order_of_their_file_and_no_process_is_left(
    tmp_path: Path, foreign_writer: str
) -> None:
    path, events = a_file(tmp_path)
    ended = imported("nothing", path, foreign_writer, "--processes", "3")
    assert (ended.returncode, f"{EVENTS} events: {EVENTS} stored" in ended.stdout) == (0, True), ended.stderr
    assert len(ids := converters_of(ended.stdout)) == 3
    assert are_gone(ids)
    assert stored(foreign_writer) == events
    again = imported("nothing", path, foreign_writer, "--processes", "2")
    assert f"{EVENTS} events: {EVENTS} there already" in again.stdout


@pytest.mark.slow
def test_an_import_whose_converter_is_killed_says_so_and_goes_on_when_it_is_run_again(
    tmp_path: Path, foreign_writer: str
) -> None:
    path, events = a_file(tmp_path)
    ended = imported("worker", path, foreign_writer, "--processes", "2")
    assert (ended.returncode, "A process that converts events has ended" in ended.stderr) == (1, True), ended.stderr
    assert are_gone(converters_of(ended.stdout))
    assert 0 < Record.objects.filter(writer=foreign_writer).count() < EVENTS
    assert goes_on(path, foreign_writer, events)


@pytest.mark.slow
def test_converters_of_an_import_that_is_killed_end_and_the_next_one_goes_on(
    tmp_path: Path, foreign_writer: str
) -> None:
    path, events = a_file(tmp_path)
    ended = imported("self", path, foreign_writer, "--processes", "3")
    assert ended.returncode == -9
    assert are_gone(converters_of(ended.stdout))
    assert goes_on(path, foreign_writer, events)


@pytest.mark.slow
def test_ctrl_c_ends_an_import_once_what_is_under_way_is_recorded(tmp_path: Path, foreign_writer: str) -> None:
    path, events = a_file(tmp_path)
    ended = imported("ctrl-c", path, foreign_writer, "--processes", "2")
    assert (ended.returncode, "stopped before its end" in ended.stdout, ended.stderr.count("Traceback")) == (0, True, 0)
    assert are_gone(converters_of(ended.stdout))
    count = Record.objects.filter(writer=foreign_writer).count()
    assert 0 < count < EVENTS
    assert stored(foreign_writer) == events[:count]
    assert goes_on(path, foreign_writer, events)


@pytest.mark.slow
def test_what_is_wrong_has_the_same_places_and_words_with_and_without_processes(
    tmp_path: Path, foreign_writer: str
) -> None:
    path = tmp_path / "lines"
    lines = [json.dumps(a_trail_event(newMember=number, large=[2**60, 0.5, None])) for number in range(8)]
    lines[1] = json.dumps(a_trail_event(eventTime=5))
    lines[3] = "no json"
    lines[5] = json.dumps(a_trail_event(userAgent="\ud800"))
    lines[7] = json.dumps({"eventID": "1"})
    path.write_text("\n".join([*lines, '{"cut'])[:-1], encoding="utf-8")
    ended = [
        imported("nothing", path, foreign_writer, "--dry-run", "--processes", number).stdout.splitlines()
        for number in ("0", "2")
    ]
    told = [[line for line in each if not line.startswith("converters ")] for each in ended]
    assert told[0] == told[1]
    assert [line.split(":")[0].strip() for line in told[0] if line.startswith("  line ")] == [
        "line 2",
        "line 4",
        "line 6",
        "line 8",
        "line 9",
    ]
    assert any("newMember (4)" in line for line in told[0])


@pytest.mark.slow
def test_what_is_wrong_in_an_array_is_told_alike_by_the_import_and_its_processes(
    tmp_path: Path, foreign_writer: str
) -> None:
    """Whole arrays are parsed by a process; which event of one is at fault is found by the import."""
    path = tmp_path / "trail.json"
    events = [json.dumps(a_trail_event(newMember=number)) for number in range(9)]
    events[1] = events[1].replace("{", '{"eventName": "twice", ', 1)
    events[4] = json.dumps(a_trail_event(eventTime=5))
    events[8] = json.dumps({"eventID": "1"})
    path.write_text('{"Records": [' + ", ".join(events) + "]}", encoding="utf-8")
    told = [
        [line for line in ended.splitlines() if not line.startswith("converters ")]
        for ended in (
            imported("nothing", path, foreign_writer, "--dry-run", "--processes", number).stdout
            for number in ("0", "2")
        )
    ]
    assert told[0] == told[1]
    places = [line.split(":")[0].strip() for line in told[0] if line.startswith("  event ")]
    assert places == ["event 2", "event 5", "event 9"]
    assert any("occurs twice in one object" in line for line in told[0])


@pytest.mark.slow
def test_what_is_stored_is_the_same_with_and_without_processes(tmp_path: Path, foreign_writer: str) -> None:
    """Whatever numbers and texts are in it: a converter is given the events in another form than JSON."""
    odd = {
        "numbers": [2**60, -(2**70), 1e22, 1.0, 0.1, -0.0, True, None],
        "texts": ["\ud83d\ude00 \\u0000", "é"],
        "": {},
    }
    path = tmp_path / "odd.json"
    path.write_text(json.dumps({"Records": [a_trail_event(odd=odd, number=number) for number in range(5)]}))
    for number in ("0", "2"):
        Writer.objects.create(name=f"{foreign_writer}-{number}")
        ended = imported("nothing", path, f"{foreign_writer}-{number}", "--processes", number)
        assert (ended.returncode, "5 events: 5 stored" in ended.stdout) == (0, True), ended.stderr
    here, beside = ([json.dumps(each) for each in stored(f"{foreign_writer}-{number}")] for number in ("0", "2"))
    assert sorted(here) == sorted(beside) and len(here) == 5


def test_what_a_process_has_made_comes_over_as_it_was() -> None:
    """Also what stands beside an event that can be erased, and its times."""
    now = datetime(2026, 3, 17, 18, 0, 0, 123456, tzinfo=UTC)
    rules = Rules([Rule(name="agent", path="event_data.userAgent"), Rule(name="ip", path="actor_ip")])
    documents = [
        convert.convert(a_trail_event(userAgent="\U0001f600"), CLOUDTRAIL, writer="w", now=now).document,
        convert.convert(a_trail_event(eventTime="0001-01-01T00:00:00Z"), CLOUDTRAIL, writer="w", now=now).document,
    ]
    events = [event.accept(document, writer="w", now=now, erasing=rules) for document in documents]
    assert events[0].beside
    made = converters.Converted({0: events[0], 7: events[1]}, {5: {"event_data.a": "is é"}}, {"a.b": 3})
    assert converters.from_bytes(converters.to_bytes(made)) == made


def test_a_process_with_connections_forks_none_and_converts_itself(tmp_path: Path, foreign_writer: str) -> None:
    path, events = a_file(tmp_path)
    beside = Converters(2, CLOUDTRAIL, foreign_writer)
    assert len(beside) == 0
    summary = run.run(str(path), CLOUDTRAIL, writer=foreign_writer, dry_run=True, converters=beside)
    assert dict(summary.counts) == {"mapped": len(events)}


@pytest.mark.parametrize("cut", [True, False], ids=["cut out", "read one by one"])
def test_a_portion_of_which_an_event_is_missing_is_not_taken(monkeypatch: pytest.MonkeyPatch, cut: bool) -> None:
    data = b'[{"eventID": "a"}, {"eventID": "b"}]'
    items = Piece(data, {"kind": "values", "count": 0}, 1, CLOUDTRAIL, 2) if cut else read(data, CLOUDTRAIL)
    monkeypatch.setattr(converters, "_converted", lambda *_: Converted({}, {0: {"": "at fault"}}, {}))
    with pytest.raises(EventsMissing, match=r"1 events were made"):
        [*Converters(0, CLOUDTRAIL, "writer").convert([(items, None)])]
