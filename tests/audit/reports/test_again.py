"""A report that is made again says what differs: the log, or the text of a set of controls that is another by now."""

import json
from pathlib import Path
from typing import Any

import pytest

from audit.models import Report
from audit.reports import again, build, packs, render
from tests.audit.reports.conftest import ME, made, sealed

pytestmark = pytest.mark.slow
HOUSE = {
    "pack": "house",
    "title": "House rules",
    "version": "2026",
    "controls": [
        {"id": "H-1", "gist": "Logs are reviewed.", "evidence": ["reviews.signed"], "not_shown": "Nothing is removed."},
        {"id": "H-2", "gist": "Old logs are destroyed.", "not_shown": "Nothing is removed."},
        {"id": "H-3", "gist": "Logs are counted.", "evidence": ["volumes.events"]},
    ],
}


@pytest.fixture
def house(settings: Any, tmp_path: Path) -> Path:
    """The file of a set of the house's own."""
    settings.CONTROL_PACKS = tmp_path
    path = tmp_path / "house.json"
    path.write_text(json.dumps(HOUSE), encoding="utf-8")
    return path


def repeated(report: Report) -> Report:
    return build.resume(build.repeat(report, ME))


def rewritten(house: Path, control: int, **changes: str) -> None:
    document = json.loads(house.read_text(encoding="utf-8"))
    document["controls"][control] |= changes
    house.write_text(json.dumps(document), encoding="utf-8")


def test_a_set_of_controls_that_was_rewritten_is_named_with_the_text_of_then_and_of_now(house: Path) -> None:
    sealed()
    first = made(names=("house", "soc2"))
    before = packs.text_of(packs.load()["house"])
    rewritten(house, 0, not_shown="Purges are certified.")
    rewritten(house, 1, gist="Old logs are removed by two people.")
    second = repeated(first)
    found = again.differences(second)
    assert second.is_same is False
    assert found.sections == []
    (sentence,) = found.packs
    assert f"House rules is not that of the first report (version 2026, text {before})" in sentence
    assert f"this site has version 2026, text {packs.text_of(packs.load()['house'])}" in sentence
    assert "H-1, H-2 are worded otherwise" in sentence


def test_a_report_of_before_there_were_fingerprints_names_its_sets_all_the_same(house: Path) -> None:
    sealed()
    first = made(names=("house",))
    rewritten(house, 1, gist="Another.")
    second = repeated(first)
    first.beside = {"at": "", "lines": []}
    second.again_of = first
    (sentence,) = again.differences(second).packs
    assert "first report (version 2026); this site has version 2026, text" in sentence


def test_another_version_of_a_set_is_named_also_where_each_control_says_the_same(house: Path) -> None:
    sealed()
    first = made(names=("house",))
    house.write_text(json.dumps(HOUSE | {"version": "2027"}), encoding="utf-8")
    (sentence,) = again.differences(repeated(first)).packs
    assert "(version 2026," in sentence and "version 2027" in sentence and "Its head is another." in sentence


def test_a_figure_that_differs_is_no_other_text_of_the_set_that_asks_for_it(house: Path) -> None:
    sealed()
    first = made(names=("house",))
    second = repeated(first)
    content = json.loads(json.dumps(second.content))
    content["controls"][2]["evidence"][0][1]["value"] = 77
    volumes = next(section for section in content["sections"] if section["key"] == "volumes")
    volumes["figures"][0]["value"] = 77
    second.content, second.digest = content, build.digest(content)
    assert again.differences(second) == ([volumes["title"]], [])


def test_the_same_report_differs_in_nothing_and_shows_the_text_of_its_sets(house: Path) -> None:
    sealed()
    first = made(names=("house",))
    assert again.differences(repeated(first)) == again.differences(first) == ([], [])
    assert f"text <code>{packs.text_of(packs.load()['house'])}</code>" in render.html(first)
