"""A mapping says what fills which field; what is wrong with one is said where it stands."""

import secrets
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from audit import checks
from audit.errors import Invalid
from audit.formats import event
from audit.imports import catalogue, convert, fitting, originals, paths, values
from audit.imports.catalogue import BUILT_IN
from audit.imports.mapping import MappingInvalid, read
from audit.imports.sources import syslog

HEAD = 'name = "x"\nversion = "1"\n'
NEEDED = """
[event]
event_type = { text = "x.{kind}" }
event_category = { value = "x" }
event_action = "kind"
event_outcome = { value = "success" }
"""
NOW = datetime(2026, 3, 4, tzinfo=UTC)


def mapped(rest: str, original: dict[str, Any]) -> dict[str, Any]:
    return convert.convert({"kind": "k"} | original, read(HEAD + NEEDED + rest, "here"), writer="w", now=NOW).document


@pytest.mark.parametrize(
    ("rule", "original", "value"),
    [
        ('actor_id = "user.name"', {"user": {"name": "a"}}, "a"),
        ('actor_id = ["user.name", "user.id"]', {"user": {"name": "", "id": 7}}, "7"),
        ('actor_id = { from = ["a.b", "c", "a.d"] }', {"a": {"d": "late"}, "c": None}, "late"),
        ("actor_id = 'labels.\"app/name\"'", {"labels": {"app/name": "a"}}, "a"),
        ('actor_id = "list[1].id"', {"list": [{"id": "a"}, {"id": "b"}]}, "b"),
        ('actor_id = "tags[k=env].v"', {"tags": [{"k": "x"}, {"k": "env", "v": "prod"}]}, "prod"),
        ('actor_id = { text = "{a|first}/{b.c|last|lower}" }', {"a": "x.y.z", "b": {"c": "u/V.W"}}, "x/w"),
        ('actor_id = [{ text = "{a}{missing}" }, { value = "none" }]', {"a": "x"}, "none"),
        ('actor_id = { from = "a", table = { 1 = "one", "*" = "many" } }', {"a": 1}, "one"),
        ('actor_id = { from = "a", table = { 1 = "one", "*" = "many" } }', {"a": 3}, "many"),
        ('actor_id = [{ value = "bad", when = { code = ">=400" } }, { value = "good" }]', {"code": "404"}, "bad"),
        ('actor_id = [{ value = "bad", when = { code = ">=400" } }, { value = "good" }]', {"code": 200}, "good"),
        ('actor_id = [{ value = "yes", when = { a = true, b = false } }]', {"a": 0}, "yes"),
        ('actor_id = [{ value = "yes", when = { a = ["1", "2"] } }, { value = "no" }]', {"a": 2}, "yes"),
    ],
)
def test_a_rule_fills_a_field(rule: str, original: dict[str, Any], value: str) -> None:
    assert mapped(rule, original)["actor_id"] == value


@pytest.mark.parametrize(
    ("value", "form", "moment"),
    [
        ("2026-03-04T05:06:07Z", "rfc3339", "2026-03-04T05:06:07.000000Z"),
        ("2026-03-04 05:06:07.123456789+0200", "rfc3339", "2026-03-04T03:06:07.123456Z"),
        (1772600767, "seconds", "2026-03-04T05:06:07.000000Z"),
        ("1772600767.25", "seconds", "2026-03-04T05:06:07.250000Z"),
        (1772600767123, "milliseconds", "2026-03-04T05:06:07.123000Z"),
        ("1772600767123456789", "nanoseconds", "2026-03-04T05:06:07.123456Z"),
        ("04/Mar/2026:05:06:07 +0100", "%d/%b/%Y:%H:%M:%S %z", "2026-03-04T04:06:07.000000Z"),
    ],
)
def test_a_time_is_read_as_the_mapping_says(value: Any, form: str, moment: str) -> None:
    rule = f'event_timestamp = {{ from = "t", form = "{form}" }}'
    assert mapped(rule, {"t": value})["event_timestamp"] == moment
    with pytest.raises(Invalid, match="no time as x/1 reads it"):
        mapped(rule, {"t": "soon"})
    assert mapped(rule, {})["event_timestamp"] == "2026-03-04T00:00:00.000000Z"


def test_what_does_not_fit_is_cut_left_out_or_made_to_fit() -> None:
    long = "a" * 300
    document = mapped('resource_id = "r"\nactor_ip = "ip"\nduration_ms = "ms"', {"r": long, "ip": "x", "ms": -1})
    other = mapped('resource_id = "r"', {"r": f"{long}b"})
    assert (len(document["resource_id"]), document["resource_id"] != other["resource_id"]) == (255, True)
    assert {"actor_ip", "duration_ms"}.isdisjoint(document)
    for text, address in {
        "192.0.2.1:443": "192.0.2.1",
        "[2001:db8::1]:1": "2001:db8::1",
        "2001:db8::1": "2001:db8::1",
    }.items():
        assert mapped('actor_ip = "ip"', {"ip": text})["actor_ip"] == address
    names = {"DescribeDBInstances": "describe_db_instances", "io.k8s//X": "io.k8s_x", "9 lives": "lives", "é": None}
    assert {name: values.dotted(name, 100) for name in names} == names
    event.accept(document, writer="w")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("name = ", "is not TOML"),
        ('name = "Trail"\nversion = "1"', "name: must be a word"),
        ('name = "x"\nversion = 1', "version: must be such as 1"),
        (HEAD + "more = 1", "more: known are"),
        (HEAD + '[source]\nformat = "xml"', "source.format: must be one of"),
        (HEAD + "[source]\nx = 1", "source.x: known are"),
        (HEAD + '[source]\nrequires = "a"' + NEEDED, "source.requires: must be an array"),
        (HEAD + '[event]\nevent_type = "a"', "event.event_category: has to be filled"),
        (HEAD + NEEDED + 'event_id = "a"', "event.event_id: is no field that a mapping fills"),
        (HEAD + NEEDED + "actor_id = 7", "event.actor_id: 7 is neither a path nor a table"),
        (HEAD + NEEDED + "actor_id = []", "event.actor_id: names nothing"),
        (HEAD + NEEDED + 'actor_id = "a..b"', "event.actor_id: 'a..b' is no path"),
        (HEAD + NEEDED + 'actor_id = { text = "{a|upper}" }', "there is no 'upper'"),
        (HEAD + NEEDED + 'actor_id = { text = "{a" }', "text: must be a text with members in braces"),
        (HEAD + NEEDED + 'actor_id = { from = "a", value = "b" }', "needs one of from, text and value"),
        (HEAD + NEEDED + 'actor_id = { value = "b", if = 1 }', "if: known are"),
        (HEAD + NEEDED + 'event_timestamp = { from = "a", form = "iso" }', "form: must be rfc3339"),
    ],
)
def test_what_is_wrong_with_a_mapping_is_said_where(text: str, fault: str) -> None:
    with pytest.raises(MappingInvalid) as raised:
        read(text, "here")
    assert str(raised.value).startswith("here")
    assert fault in str(raised.value)


def test_a_path_is_written_as_it_is_read() -> None:
    for text in ("a", "a.b", 'a."b.c".d', "a[0].b", "a[k=v].b", r'a."q\"uote"'):
        assert paths.text_of(paths.parse(text)) == text
        finder = paths.finder(paths.parse(text))
        assert finder({"a": {"b": 1}}) == paths.find({"a": {"b": 1}}, paths.parse(text))


def test_a_mapping_of_the_operator_stands_beside_ours_or_in_its_place(tmp_path: Path, settings: Any) -> None:
    shutil.copy(BUILT_IN / "falco.toml", tmp_path / "falco.toml")
    (tmp_path / "x.toml").write_text(HEAD.replace('"1"', '"2.5"') + NEEDED, encoding="utf-8")
    settings.IMPORT_MAPPINGS_DIR = tmp_path
    assert catalogue.find("x").made_by == "x/2.5"
    assert set(catalogue.every()) == {path.stem for path in BUILT_IN.glob("*.toml")} | {"x"}
    (tmp_path / "y.toml").write_text(HEAD + NEEDED, encoding="utf-8")
    catalogue._every.cache_clear()
    with pytest.raises(MappingInvalid, match=r"call the file x\.toml"):
        catalogue.every()
    (found,) = checks.mappings(None)
    assert (found.id, "call the file x.toml" in found.msg) == ("audit.E021", True)
    catalogue._every.cache_clear()


def test_every_mapping_of_ours_can_be_told_from_the_version_of_its_records() -> None:
    for name, mapping in catalogue.every().items():
        assert originals.made_by(mapping.made_by) == (name, mapping.version)
        assert len(mapping.made_by) <= 20
    assert originals.made_by("1.0") is None


def test_a_line_of_syslog_is_read_strictly() -> None:
    line = r'<165>1 - host app - - [a@1 x="q\"u\]o\\te" x="2"][b@1] ' + "\ufeffté[xt]"
    assert syslog.parse(line) == {
        "facility": "local4",
        "severity": "notice",
        "version": "1",
        "hostname": "host",
        "app_name": "app",
        "structured_data": {"a@1": {"x": ['q"u]o\\te', "2"]}, "b@1": {}},
        "message": "té[xt]",
        "line": line,
    }
    for wrong in ("<192>1 - - - - - -", "<1> - - - - - -", "<1>1 - h a p m [open", "Mar  4 05:06:07 host app: x", ""):
        assert "faults" in type(syslog.parse(wrong))._fields


def test_long_texts_are_read_and_not_remembered() -> None:
    """Thousands of texts of 256 KiB would take the memory of the process."""
    long = "Delete.Something." * 1_000
    fills = [fitting.of(field, "rfc3339") for field in ("event_type", "event_category", "actor_ip")]
    caches = (values.dotted, values.word, values.address)
    before = [each.cache_info().currsize for each in caches]
    assert [len(fill(long) or "") for fill in fills] == [100, 50, 0]
    assert [each.cache_info().currsize for each in caches] == before
    assert [fill(f"Create{secrets.token_hex(4)}") is None for fill in fills] == [False, False, True]
    assert [each.cache_info().currsize for each in caches] > before
