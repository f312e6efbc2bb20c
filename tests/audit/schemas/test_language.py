"""Schemas are taken where each check by them is bounded, whatever is sent."""

import json
from typing import Any

import pytest

from audit.errors import Invalid
from audit.schemas import language
from audit.schemas.language import Checker


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "must be a JSON object"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "must be https://json-schema.org/draft/2020-12"),
        ({"$ref": "https://example.com/s.json"}, "only #/$defs/NAME of its own is taken"),
        ({"$ref": "#"}, "only #/$defs/NAME of its own is taken"),
        ({"properties": {"a": {"$ref": "#/$defs/x"}}}, "which is not there"),
        ({"$defs": {"x": {"anyOf": [{"$ref": "#/$defs/x"}]}}, "$ref": "#/$defs/x"}, "refers in a circle"),
        ({"$defs": {"x": {"items": {"$ref": "#/$defs/x"}}}}, "refers in a circle"),
        ({"$id": "https://example.com/"}, "has $id, which is not taken"),
        ({"properties": {"a": {"$dynamicRef": "#x"}}}, "has $dynamicRef"),
        ({"properties": {"a": {"pattern": "(?=a)b"}}}, "neither look-around nor back references"),
        ({"properties": {"a": {"pattern": "(a{1000}){1000}{1000}"}}}, "cannot be used"),
        ({"type": "nope"}, "cannot be used"),
        ({"properties": []}, "must be an object of schemas"),
        ({"allOf": {}}, "must be a list of schemas"),
        ({"items": 3}, "must be a schema"),
    ],
)
def test_what_is_no_bounded_schema_is_refused(document: Any, said: str) -> None:
    with pytest.raises(Invalid) as refusal:
        language.read(json.dumps(document))
    assert said in refusal.value.errors["document"]


@pytest.mark.parametrize("text", ["{", '{"a":1,"a":2}', '{"const":"\\u0000"}', '{"const":NaN}', '{"x":"\\ud800"}'])
def test_what_is_no_json_that_can_be_kept_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="is no JSON that can be kept"):
        language.read(text)


@pytest.mark.parametrize("text", ["null", "true", "7", '"text"', "[]"])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="must be a JSON object"):
        language.read(text)


def test_a_schema_of_many_bytes_or_levels_is_refused() -> None:
    with pytest.raises(Invalid, match="has more than 65536 bytes"):
        language.read(json.dumps({"description": "x" * 70_000}))
    deep: Any = {}
    for _ in range(31):
        deep = {"properties": {"a": deep}}
    with pytest.raises(Invalid, match="levels deep"):
        language.read(json.dumps(deep))


def test_references_that_double_at_each_step_are_refused() -> None:
    """Of sixteen lines, and thousands of checks."""
    names = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(15)}
    with pytest.raises(Invalid, match="more than 2000 subschemas once its references are followed"):
        language.read(json.dumps({"$defs": names | {"d15": {}}, "$ref": "#/$defs/d0"}))


def test_names_and_values_are_not_taken_for_keywords() -> None:
    language.check({"properties": {"$ref": {"const": {"$ref": "x"}}, "items": {"enum": [{"$id": "x"}]}}})


def test_what_does_not_fit_is_named_by_its_member_and_without_its_value() -> None:
    checker = Checker(
        {
            "type": "object",
            "required": ["user"],
            "properties": {"user": {"properties": {"mail": {"pattern": "@"}, "age": {"type": "integer"}}}},
        }
    )
    assert checker.faults({"user": {"mail": "a@b", "age": 3}}) == {}
    faults = checker.faults({"user": {"mail": "s3cret", "age": "old"}})
    assert faults.keys() == {"event_data.user.mail", "event_data.user.age"}
    assert "s3cret" not in str(faults) and '"@"' in faults["event_data.user.mail"]
    assert list(checker.faults({})) == ["event_data.user"]


def test_each_member_that_is_missing_or_not_foreseen_is_named_and_all_that_is_wrong_with_one() -> None:
    checker = Checker(
        {
            "required": ["a", "b"],
            "properties": {"a": {}, "b": {}, "c": {"type": "string", "enum": ["x"]}},
            "additionalProperties": False,
        }
    )
    faults = checker.faults({"c": 7, "dotted.name": 1, "other": 2})
    assert faults.keys() == {
        "event_data.a",
        "event_data.b",
        "event_data.c",
        'event_data."dotted.name"',
        "event_data.other",
    }
    assert "properties/c/type" in faults["event_data.c"] and "properties/c/enum" in faults["event_data.c"]


def test_of_many_faults_the_first_twenty_are_named() -> None:
    assert len(Checker({"items": {"type": "string"}}).faults([1] * 1_000)) == 20


def test_an_expression_that_would_explode_is_matched_in_linear_time() -> None:
    """By backtracking this takes longer than the universe has lasted."""
    checker = Checker({"properties": {"a": {"pattern": "^(a+)+$"}}})
    assert checker.faults({"a": "a" * 100_000 + "!"}).keys() == {"event_data.a"}
