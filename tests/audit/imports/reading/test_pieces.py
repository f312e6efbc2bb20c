"""Events that are cut out of a text many at once are those that are read one by one, with the same places."""

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest

from audit.imports import catalogue, mapping
from audit.imports.item import Item
from audit.imports.read import Events, Piece
from audit.imports.reading import opening, window
from audit.imports.reading.opening import FileUnreadable, opened
from audit.imports.reading.window import Broken, Window

CLOUDTRAIL = catalogue.find("cloudtrail")
EVENTS: list[dict[str, Any]] = [
    {"eventID": f"{number}", "é": ["\U0001f600", {"n": number}, {"}": "},{"}], "resources": [{"a": 1}, {"b": [{}]}]}
    for number in range(11)
]
ARRAY = json.dumps(EVENTS, ensure_ascii=False)
FORMS = {
    "array": ARRAY,
    "array without spaces": json.dumps(EVENTS, separators=(",", ":")),
    "pretty records": json.dumps({"Records": EVENTS}, indent=1, ensure_ascii=False),
    "with members around": f'{{"a": {{"Records": [1]}}, "Records" : {ARRAY} , "c": [1, 2]}}',
    "several documents": f'{{"Records":{json.dumps(EVENTS[:4])}}}\n{{"Records":[]}}\n{json.dumps(EVENTS[4:])}',
    "lines": "\n".join(json.dumps(event, ensure_ascii=False) for event in EVENTS) + "\r\n\n",
    "lines with one at fault": "\n".join(["{}", "{", *(json.dumps(event) for event in EVENTS)]),
    "a name twice": f'[{{"a": 1, "a": 2}}, {{"n": 9007199254740993}}, {ARRAY[1:]}',
    "no objects between": f'[{ARRAY[1:-1]}, 5, [{{}}, {{"a": 1}}], "x", {ARRAY[1:]}',
    "objects that hold events": f'[{{"Records": {ARRAY}}}, {{"R\\u0065cords": {ARRAY}}}, {{"Records": null}}]',
    "empty": "[]",
}


def read_in_pieces(events: Events, most: int) -> tuple[list[Item], list[Piece]]:
    """All events, and the pieces that some of them came in. Raises what reading raises."""
    items: list[Item] = []
    pieces: list[Piece] = []
    source = iter(events)
    while True:
        if events.is_settled and (piece := events.piece(most)) is not None:
            assert [item.original for item in piece] == piece.originals()
            assert 0 < len(piece) <= most
            pieces.append(piece)
            items += piece
        elif (item := next(source, None)) is not None:
            items.append(item)
        else:
            return items, pieces


def read_one_by_one(path: Path, source: mapping.Mapping) -> list[Item]:
    with opened(str(path)) as file:
        return list(Events(Window(file), source))


@pytest.mark.parametrize("part", [11, 4096])
@pytest.mark.parametrize("form", FORMS)
def test_events_in_pieces_are_those_that_are_read_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, part: int
) -> None:
    monkeypatch.setattr(opening.Source.part, "__defaults__", (part,))
    path = tmp_path / "file"
    path.write_text(FORMS[form], encoding="utf-8")
    with opened(str(path)) as file:
        items, pieces = read_in_pieces(Events(Window(file), CLOUDTRAIL), 3)
    assert items == read_one_by_one(path, CLOUDTRAIL)
    assert bool(pieces) is (form not in ("empty", "several documents", "objects that hold events"))


def test_no_event_is_left_out_where_a_file_is_read_on_between_events_of_one_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the text that is held begins, an event may begin as far into what is held after it was read on."""
    texts = [f'{{"eventID":"{number:04}"}}' for number in range(500)]
    path = tmp_path / "file"
    path.write_text(f"[{','.join(texts)}]", encoding="utf-8")
    monkeypatch.setattr(opening.Source.part, "__defaults__", (10 * (len(texts[0]) + 1),))
    monkeypatch.setattr("audit.imports.reading.pieces.FIRST_CHARACTERS", 100)
    with opened(str(path)) as file:
        items, pieces = read_in_pieces(Events(Window(file), CLOUDTRAIL), 7)
    assert items == read_one_by_one(path, CLOUDTRAIL)
    assert sum(map(len, pieces)) == len(texts)


def test_a_piece_is_as_long_as_it_may_be_and_reading_goes_on_after_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(f'{{"Records": {ARRAY}}}', encoding="utf-8")
    whole = read_one_by_one(path, CLOUDTRAIL)
    with opened(str(path)) as file:
        passed = Window(file)
        events = Events(passed, CLOUDTRAIL)
        iter(events)
        lengths = []
        while (piece := events.piece(4)) is not None:
            lengths.append(len(piece))
            state, place = dict(events.state), (passed.offset, passed.digest(), passed.line)
            with opened(str(path)) as again:
                following = Window(again)
                assert following.skip(*place)
                assert list(Events(following, CLOUDTRAIL, state)) == whole[sum(lengths) :]
    assert lengths == [4, 4, 3]


def test_of_a_file_that_is_cut_off_all_that_is_before_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening.Source.part, "__defaults__", (11,))
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(ARRAY.encode(), mtime=0)[:-6])
    with opened(str(path)) as file:
        events = Events(Window(file), CLOUDTRAIL)
        with pytest.raises(FileUnreadable, match="cannot be read after"):
            read_in_pieces(events, 3)
        assert events.state["count"] == read_count(path) > 3
    path.write_text(ARRAY[:-5], encoding="utf-8")
    with opened(str(path)) as file, pytest.raises(Broken, match="not JSON"):
        read_in_pieces(Events(Window(file), CLOUDTRAIL), 3)


def read_count(path: Path) -> int:
    """How many events are read one by one before a file is cut off."""
    with opened(str(path)) as file:
        events = Events(Window(file), CLOUDTRAIL)
        with pytest.raises(FileUnreadable):
            list(events)
        return int(events.state.get("count", 0))


def test_text_that_somebody_damaged_is_read_alike_in_pieces_and_one_by_one(tmp_path: Path) -> None:
    """What a piece takes for whole the reader of single events takes for whole as well, wherever a character is off."""
    chance, path = random.Random(7), tmp_path / "file"
    text = json.dumps(EVENTS[:4], ensure_ascii=False)
    for _ in range(150):
        at = chance.randrange(len(text))
        path.write_text(text[:at] + chance.choice('{}[],:"\\ n0-.e\x01') + text[at + 1 :], encoding="utf-8")
        assert outcome(path, 2) == outcome(path, None)


def outcome(path: Path, most: int | None) -> tuple[list[Item], bool]:
    """The events that are read, in pieces or one by one, and whether that comes to an end."""
    items: list[Item] = []
    with opened(str(path)) as file:
        events = Events(Window(file), CLOUDTRAIL)
        source = iter(events)
        try:
            while True:
                if most is not None and events.is_settled and (piece := events.piece(most)) is not None:
                    items += piece
                elif (item := next(source, None)) is not None:
                    items.append(item)
                else:
                    return items, True
        except Broken:
            return items, False


def test_more_is_not_held_than_an_event_may_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "MAX_CHARACTERS", 300)
    monkeypatch.setattr("audit.imports.reading.pieces.FIRST_CHARACTERS", 200)
    monkeypatch.setattr(opening.Source.part, "__defaults__", (11,))
    path = tmp_path / "file"
    path.write_text('[{"n": 1}, {"long": "' + "x" * 5000, encoding="utf-8")
    with opened(str(path)) as file:
        events = Events(Window(file), CLOUDTRAIL)
        with pytest.raises(Broken, match="longer than"):
            read_in_pieces(events, 3)
        assert events.state["count"] == 1


def test_a_member_that_is_escaped_in_json_holds_events_and_nothing_is_cut_out(tmp_path: Path) -> None:
    fields = "".join(f'{name}={{value="x"}}\n' for name in ("event_type", "event_category", "event_action"))
    text = f"name='x'\nversion='1'\n[source]\nformat='json'\nrecords=['\"a\\\"b\"']\n[event]\n{fields}"
    odd = mapping.read(text + 'event_outcome={value="success"}\n', "here")
    path = tmp_path / "file"
    path.write_text('[{"n": 1}, {"a\\"b": [{"n": 2}, {"n": 3}]}]', encoding="utf-8")
    with opened(str(path)) as file:
        items, pieces = read_in_pieces(Events(Window(file), odd), 3)
    assert ([item.original for item in items], pieces) == ([{"n": 1}, {"n": 2}, {"n": 3}], [])


def test_an_import_may_go_on_after_a_document_of_no_events(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text('[{"data": {"events": []}}, {"uuid": "a"}, {"uuid": "b"}]', encoding="utf-8")
    with opened(str(path)) as file:
        events = Events(Window(file), catalogue.find("okta"))
        assert [(item.original, events.is_settled) for item in events] == [({"uuid": "a"}, True), ({"uuid": "b"}, True)]
