"""Rows of CSV are read as they are, and a table in which a value would be lost is refused."""

from pathlib import Path
from typing import Any

import pytest

from audit.imports import mapping
from audit.imports.read import Events, read
from audit.imports.reading.opening import opened
from audit.imports.reading.window import Broken, Window

TABLE = mapping.read(
    """
    name = "x"
    version = "1"
    [source]
    format = "csv"
    [event]
    event_type = { value = "x" }
    event_category = { value = "x" }
    event_action = { value = "x" }
    event_outcome = { value = "success" }
    """,
    "here",
)


def rows_of(text: str) -> list[Any]:
    return [item.original for item in read(text.encode(), TABLE)]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("inner", ["\n", "\r\n", "\r", "\r\n\r\n", "\n\n\r"])
def test_a_line_end_within_quotes_stays_as_it_is(end: str, inner: str) -> None:
    text = f'a,b{end}"x{inner}y",2{end}"{inner}",3'
    assert rows_of(text) == [{"a": f"x{inner}y", "b": "2"}, {"a": inner, "b": "3"}]
    assert rows_of(text + end) == rows_of(text)


@pytest.mark.parametrize(
    ("heading", "words"),
    [
        ("time,user,time", "the column 'time' stands twice in its first row"),
        ("a,,", "the column '' stands twice in its first row"),
        ("a,b,a,b", "the columns 'a', 'b' stand twice in its first row"),
    ],
)
def test_a_table_with_two_columns_of_one_name_is_refused_by_that_name(tmp_path: Path, heading: str, words: str) -> None:
    path = tmp_path / "file.csv"
    path.write_text(f"{heading}\n1,2,3\n", encoding="utf-8")
    with opened(str(path)) as file, pytest.raises(Broken, match=words):
        list(Events(Window(file), TABLE))


def test_a_column_without_a_name_is_kept_under_none() -> None:
    assert rows_of("a,,b\n1,2,3\n") == [{"a": "1", "": "2", "b": "3"}]


def test_a_mapping_that_names_a_column_twice_is_none() -> None:
    text = TABLE.text.replace('format = "csv"', 'format = "csv"\ncolumns = ["a", "b", "a"]')
    with pytest.raises(mapping.MappingInvalid, match=r"source\.columns: 'a' stands twice"):
        mapping.read(text, "here")
