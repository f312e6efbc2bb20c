"""The canonical form is RFC 8785, and nothing that could not come back equal has one."""

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from audit.formats.canonical import MAX_SAFE_INTEGER, NotCanonical, canonical, digest, loads, read

VECTORS = json.loads((Path(__file__).parents[2] / "data" / "jcs.json").read_text(encoding="utf-8"))["cases"]

numbers = st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER) | st.floats(
    -MAX_SAFE_INTEGER, MAX_SAFE_INTEGER, allow_nan=False
)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"))
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["name"])
def test_the_published_vectors_come_out_to_the_byte(case: dict[str, str]) -> None:
    assert canonical(json.loads(case["input"])).hex() == case["canonical_hex"]


@given(st.dictionaries(texts, values, max_size=5))
def test_the_fast_way_writes_what_the_reference_writes(document: dict[str, Any]) -> None:
    try:
        written = canonical(document)
    except NotCanonical as error:
        assert "nested too deep" in str(error)
    else:
        assert written == rfc8785.dumps(document)


@given(st.dictionaries(texts, values, max_size=5))
def test_what_is_canonical_reads_back_to_the_same_bytes(document: dict[str, Any]) -> None:
    try:
        written = canonical(document)
    except NotCanonical:
        return
    assert canonical(loads(written)) == written


@pytest.mark.parametrize(
    "number",
    [0.0001, 0.00009999, 1e-7, 1.5, 123456789.25, -0.0, 1e15, 5e-324, 0.1, -2.5e-5, 4503599627370496.5],
)
def test_floats_are_written_as_ecmascript_does(number: float) -> None:
    assert canonical({"n": number}) == rfc8785.dumps({"n": number})


def test_the_digest_is_the_rfc_6962_leaf_hash() -> None:
    assert digest(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert digest(b"L123456") == hashlib.sha256(b"\x00L123456").digest()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'{"a":1,"a":1}', "occurs twice"),
        (b'{"a":{"b":1,"b":2}}', "occurs twice"),
        (b'{"a":NaN}', "NaN is not a JSON number"),
        (b'{"a":-Infinity}', "-Infinity is not a JSON number"),
        (b'{"a":9007199254740992}', "beyond 2^53-1"),
        (b'{"a":-9007199254740992}', "beyond 2^53-1"),
        (b'{"a":' + b"9" * 5000 + b"}", "beyond 2^53-1"),
        (b'{"a":1e400}', "beyond 2^53-1"),
        (b'{"a":1e21}', "beyond 2^53-1"),
        (b'{"a":"\xff"}', "not UTF-8"),
        (b'{"a":"\xed\xa0\x80"}', "not UTF-8"),
        (b'{"a":', "not valid JSON"),
        (b"", "not valid JSON"),
        (b'{"a":"\x01"}', "not valid JSON"),
        (b"[" * 100_000, "nested too deep"),
    ],
)
def test_json_that_cannot_round_trip_is_refused(text: bytes, reason: str) -> None:
    with pytest.raises(NotCanonical, match=reason.replace("^", r"\^")):
        loads(text)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"a": "x\x00y"}, "U\\+0000"),
        ({"a\x00": 1}, "U\\+0000"),
        ({"a": [{"b": "\x00"}], "é": 1}, "U\\+0000"),
        ({"a": "\ud800"}, "lone surrogate"),
        ({"\udfff": 1}, "lone surrogate"),
        ({"é": 0.5, "a": "\ud800"}, "lone surrogate"),
    ],
)
def test_text_that_cannot_be_stored_is_refused(document: dict[str, Any], reason: str) -> None:
    with pytest.raises(NotCanonical, match=reason):
        canonical(document)


def test_a_name_twice_among_very_many_is_found_without_comparing_each_with_each() -> None:
    members = ",".join(f'"{number}":1' for number in range(100_000))
    with pytest.raises(NotCanonical, match="'7' occurs twice"):
        loads(f'{{{members},"7":1}}'.encode())


def test_the_letters_u0000_after_a_backslash_are_not_a_nul() -> None:
    assert canonical({"a": "\\u0000"}) == b'{"a":"\\\\u0000"}'


def nested(levels: int) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for _ in range(levels):
        document = {"a": document}
    return document


def test_sixty_four_levels_below_the_document_are_enough() -> None:
    assert canonical(nested(64))
    with pytest.raises(NotCanonical, match="at most 64 levels") as refused:
        canonical({"data": [nested(64)]})
    assert refused.value.faults.keys() == {"data.0" + ".a" * 63}


def test_depth_is_checked_beside_names_outside_ascii() -> None:
    with pytest.raises(NotCanonical, match="at most 64 levels"):
        canonical({"é": nested(65)})


def test_text_that_cannot_be_stored_is_named_by_its_path() -> None:
    with pytest.raises(NotCanonical) as refused:
        canonical({"a": {"b.c": ["x", "\x00"], "d\ud800": 1}})
    assert refused.value.faults == {
        'a."b.c".1': "contains the character U+0000, which cannot be stored",
        'a."d\\ud800"': "the name contains a lone surrogate, which is not a character",
    }


FAULTS = [
    (b'{"a": {"b": [1, NaN]}}', {"a.b.1": "NaN is not a JSON number"}),
    (b'{"a": {"b": 1, "b": 2}, "c": 9007199254740992}', {"a.b": "occurs twice", "c": "beyond 2^53-1"}),
    (b'{"a": [{}, 1e400]}', {"a.1": "beyond 2^53-1"}),
    (b'{"x": "}]", "a": ' + b"[" * 3_000 + b'"]"' + b"]" * 3_000 + b"}", {"a" + ".0" * 64: "nested too deep"}),
]


def is_read_by_python(text: bytes) -> bool:
    """Whether this Python reads what is as deep: 3.14 does, and then the depth is found fault with by `canonical`."""
    try:
        json.loads(text.replace(b"NaN", b"1"))
    except RecursionError:
        return False
    return True


@pytest.mark.parametrize(("text", "faults"), FAULTS, ids=range(len(FAULTS)))
def test_what_is_at_fault_is_named_by_its_path_and_spares_its_neighbours(text: bytes, faults: dict[str, str]) -> None:
    if "too deep" in str(faults) and is_read_by_python(text):
        with pytest.raises(NotCanonical) as deep:
            canonical(read(text))
        assert deep.value.faults.keys() == faults.keys()
        return
    before, unreadable, after = read(b' [{"n": 12.0},' + text + b' , {"n": 2} ]\n')
    assert (before, after) == ({"n": 12}, {"n": 2})
    assert unreadable.text.encode() == text
    assert unreadable.faults.keys() == faults.keys()
    assert all(faults[path] in message for path, message in unreadable.faults.items())
    with pytest.raises(NotCanonical) as refused:
        loads(b"[1," + text + b"]")
    assert refused.value.faults.keys() == {f"1.{path}" for path in faults}


@pytest.mark.parametrize("text", [b"[NaN,]", b"[NaN", b"[NaN}", b"[NaN] 1", b"[,NaN]", b'[NaN,{"a":]', b"[NaN 1]"])
def test_what_is_no_json_is_no_json_whatever_else_is_at_fault(text: bytes) -> None:
    with pytest.raises(NotCanonical, match="not valid JSON"):
        read(text)


@pytest.mark.parametrize("text", [b"[" * 5_000_000, b"[NaN," + b"[]," * 1_000_000 + b"1]", b'["' + b'\\"' * 2_000_000])
@pytest.mark.slow
def test_text_that_is_hostile_is_refused_in_about_a_second(text: bytes) -> None:
    began = time.process_time()
    with pytest.raises(NotCanonical):
        read(text)
    assert time.process_time() - began < 5


def test_an_integer_may_be_written_as_json_schema_means_it() -> None:
    assert [type(number) for number in loads(b"[12.0, 1e3, -0.0, 1.5]")] == [int, int, int, float]
