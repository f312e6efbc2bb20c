"""The table of upstream's assertions says how many there are, which are refused, and what holds each."""

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
TABLE = (HERE / "README.md").read_text(encoding="utf-8")
ROW = re.compile(r"\| (\d+) \| ([\w, ]+) \| (.+) \| (passes|refused: .+) \| `(\w+)` \|")
REFUSED = "test_what_is_refused_on_purpose_is_refused_with_the_reason"


def test_56_assertions_pass_but_for_those_that_are_refused_on_purpose() -> None:
    rows = [ROW.fullmatch(line) for line in TABLE.splitlines()[6:]]
    found = [row.groups() for row in rows if row is not None]
    assert [int(number) for number, *_ in found] == [*range(1, 57)] and len(found) == len(rows)
    refused = [row for row in found if row[3] != "passes"]
    assert f"56 assertions, of which {56 - len(refused)} pass and {len(refused)} are refused on purpose" in TABLE
    assert [row[4] == REFUSED for row in found] == [row in refused for row in found]


def test_each_is_held_by_a_test_that_names_their_file() -> None:
    module = ast.parse((HERE / "test_clients.py").read_text(encoding="utf-8"))
    says = {node.name: ast.get_docstring(node) or "" for node in module.body if isinstance(node, ast.FunctionDef)}
    for _, files, asks, _, test in (row.groups() for row in map(ROW.fullmatch, TABLE.splitlines()) if row is not None):
        assert any(file.split("_")[0] in says[test] for file in files.split(", ")), f"{test} does not hold: {asks}"
    assert {name for name in says if name.startswith("test_")} == set(re.findall(r"`(test_\w+)` \|$", TABLE, re.M))
