"""Files are read event by event, in whatever form their source writes them, and from any place in them."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from audit.formats.canonical import Unreadable
from audit.imports import catalogue, mapping, read
from audit.imports.read import Events
from audit.imports.reading import opening, window
from audit.imports.reading.opening import FileUnreadable, opened
from audit.imports.reading.window import Broken, Window

EVENTS: list[dict[str, Any]] = [{"eventID": f"{number}", "é": ["\U0001f600", {"n": number}]} for number in range(7)]
LINES = "\n".join(json.dumps(event, ensure_ascii=False) for event in EVENTS)
ARRAY = json.dumps(EVENTS, ensure_ascii=False)
CSV = 'id,what\n1,"two\nlines, and a "" quote"\n2,plain\n3,\n'
FORMS = {
    "lines": LINES,
    "lines that end": f"{LINES}\n\n",
    "with the mark of its byte order": f"\ufeff{LINES}\n",
    "array": ARRAY,
    "pretty": json.dumps(EVENTS, indent=2, ensure_ascii=False),
    "records": f'{{"Records":{ARRAY}}}',
    "pretty records": json.dumps({"Records": EVENTS}, indent=1, ensure_ascii=False),
    "with members around": f'{{"a": {{"Records": [1]}}, "b": "x", "Records" : {ARRAY} , "c": [1, 2]}}',
    "several documents": f'{{"Records":{json.dumps(EVENTS[:3])}}}\n{{"Records":[]}}\n{json.dumps(EVENTS[3:])}',
    "values without lines": LINES.replace("\n", " "),
}


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part is a few characters, so that every border is met."""
    monkeypatch.setattr(opening.Source.part, "__defaults__", (11,))


def events_of(path: Path, source: Any = "cloudtrail") -> list[Any]:
    found = catalogue.find(source) if isinstance(source, str) else source
    with opened(str(path)) as file:
        return [item.original for item in Events(Window(file), found)]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("zipped", [False, True])
def test_each_form_of_a_file_gives_its_events(tmp_path: Path, form: str, zipped: bool) -> None:
    path, data = tmp_path / "file", FORMS[form].encode()
    # gzip may come in several members, as of files that were put together.
    path.write_bytes(gzip.compress(data[:20]) + gzip.compress(data[20:]) if zipped else data)
    assert events_of(path) == EVENTS


def of_csv() -> mapping.Mapping:
    text = (
        'name="x"\nversion="1"\n[source]\nformat="csv"\n[event]\nevent_type={value="x"}\nevent_category={value="x"}\n'
    )
    return mapping.read(text + 'event_action={value="x"}\nevent_outcome={value="success"}\n', "here")


@pytest.mark.parametrize("form", [*FORMS, "csv"])
def test_reading_goes_on_at_any_event(tmp_path: Path, form: str) -> None:
    path, found = tmp_path / "file", of_csv() if form == "csv" else catalogue.find("cloudtrail")
    path.write_text(CSV if form == "csv" else FORMS[form], encoding="utf-8")
    whole = events_of(path, found)
    places = []
    with opened(str(path)) as file:
        passed = Window(file)
        events = Events(passed, found)
        for number, _ in enumerate(events, 1):
            if events.is_settled:
                places.append((number, passed.offset, passed.digest(), passed.line, dict(events.state)))
    assert places[-1][0] == len(whole)
    for number, offset, digest, line, state in places:
        with opened(str(path)) as file:
            again = Window(file)
            assert again.skip(offset, digest, line)
            assert [item.original for item in Events(again, found, state)] == whole[number:]
    with opened(str(path)) as file:
        assert not Window(file).skip(places[0][1], "0" * 64, 1)
        assert not Window(file).skip(10**9, places[0][2], 1)


def test_a_row_of_csv_is_an_object_and_one_with_too_many_values_is_at_fault(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_text(CSV + "4,a,b\n", encoding="utf-8")
    *rows, last = events_of(path, of_csv())
    assert rows == [
        {"id": "1", "what": 'two\nlines, and a " quote'},
        {"id": "2", "what": "plain"},
        {"id": "3", "what": ""},
    ]
    assert isinstance(last, Unreadable)
    assert last.faults == {"": "has 3 values, and there are 2 columns"}


@pytest.mark.parametrize(
    ("text", "before", "why"),
    [
        (f'{{"Records":{ARRAY[:-9]}', 6, "not JSON"),
        (f'{{"Records":{ARRAY[:-1]}', 7, "ends in the middle of an array"),
        (f'{{"Records":{ARRAY}', 7, "does not end"),
        ('[{"eventID": 1}, oops, {"eventID": 2}]', 1, "not JSON"),
    ],
)
def test_a_file_that_ends_in_its_middle_gives_what_is_before_and_says_so(
    tmp_path: Path, text: str, before: int, why: str
) -> None:
    path = tmp_path / "file"
    path.write_text(text, encoding="utf-8")
    found: list[Any] = []
    with opened(str(path)) as file, pytest.raises(Broken, match=why):
        for item in Events(Window(file), catalogue.find("cloudtrail")):
            found.append(item.original)
    assert len(found) == before


def test_what_is_wrong_with_a_line_costs_that_line_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (window, read):
        monkeypatch.setattr(module, "MAX_CHARACTERS", 300)
    monkeypatch.setattr("audit.imports.reading.lines.MAX_CHARACTERS", 300)
    path = tmp_path / "file"
    path.write_bytes(
        b'{"n": 1}\n{"n": \n{"long": "' + b"x" * 2000 + b'"}\n\xff\xfe\n{"n": 9007199254740993, "f": 1e400}'
    )
    with opened(str(path)) as file:
        items = list(Events(Window(file), catalogue.find("cloudtrail")))
    assert [item.place for item in items] == ["line 1", "line 2", "line 3", "line 4", "line 5"]
    assert [type(item.original) for item in items] == [dict, Unreadable, Unreadable, Unreadable, dict]
    assert items[4].original == {"n": "9007199254740993", "f": "1e400"}
    assert items[3].as_it_came() == b"\xff\xfe"


def test_one_event_in_an_array_that_is_too_long_is_the_end_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "MAX_CHARACTERS", 300)
    path = tmp_path / "file"
    path.write_text('[{"n": 1}, {"long": "' + "x" * 5000, encoding="utf-8")
    with opened(str(path)) as file, pytest.raises(Broken, match="longer than"):
        list(Events(Window(file), catalogue.find("cloudtrail")))


def test_gzip_that_is_cut_off_says_so(tmp_path: Path) -> None:
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(LINES.encode())[:-20])
    with pytest.raises(FileUnreadable, match="cannot be read after"):
        events_of(path)
    with pytest.raises(FileUnreadable, match="is a folder"):
        events_of(tmp_path)
