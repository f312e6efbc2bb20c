"""A bench says of each goal whether it is reached, and draws what it says."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

from bench.ingest import chart
from bench.ingest.result import Goal, Rate, Result, Row

FAST = Row("POST", "a ceiling", Goal(0.7), [0.9, 0.1, 0.8, 0.75, 0.6])
LATE = Row("p99", "", Goal(10, "ms", at_least=False), [9.0, 12.0, 11.0])
ABSENT = Row("POST", "another commit", Goal(2), [], "say AGAINST=commit")


def test_the_median_decides_and_the_spread_is_told() -> None:
    assert FAST.is_met and FAST.said() == "0.75 (0.1 to 0.9)"
    assert LATE.is_met is False and LATE.said() == "11 (9 to 12) ms"


def test_what_was_not_measured_is_neither_reached_nor_missed() -> None:
    assert ABSENT.is_met is None
    assert Result({}, [FAST, ABSENT]).is_met
    assert not Result({}, [FAST, LATE]).is_met


def test_the_file_holds_every_round_and_the_verdict(tmp_path: Path) -> None:
    Result({"machine": "2 cores"}, [FAST, ABSENT], [Rate("POST", "/s", [3.0, 1.0, 2.0])]).write(tmp_path / "r.json")
    kept = json.loads((tmp_path / "r.json").read_text())
    assert kept["rows"][0]["values"] == FAST.values and kept["rows"][0]["reached"] is True
    assert kept["rows"][1]["values"] == [] and kept["rows"][1]["reached"] is None
    assert kept["rates"][0]["median"] == 2.0


def places(svg: str) -> list[float]:
    """Where the medians are drawn, from left to right."""
    ElementTree.fromstring(svg)
    return [float(x) for x in re.findall(r'<circle cx="([\d.]+)"', svg)]


def test_a_goal_that_is_reached_exactly_lies_on_its_line_whichever_way_it_looks() -> None:
    at_goal = [Row("rate", "", Goal(0.7), [0.7]), Row("time", "", Goal(10, "ms", at_least=False), [10.0])]
    better = [Row("rate", "", Goal(0.7), [1.4]), Row("time", "", Goal(10, "ms", at_least=False), [5.0])]
    (rate, time), (more, less) = (places(chart.goals(rows, title="<&>")) for rows in (at_goal, better))
    assert rate == time and more == less > rate


def test_a_time_of_nothing_and_a_row_without_values_are_drawn_too() -> None:
    rows = [Row("worst", "", Goal(300, "ms", at_least=False), [0.0]), ABSENT]
    assert len(places(chart.goals(rows, title="edges"))) == 1
    assert places(chart.rates([Rate("POST", "/s", [0.0])], title="none", unit="/s")) == [chart.LEFT_PX]
