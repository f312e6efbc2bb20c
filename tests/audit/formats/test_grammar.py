"""The grammar of queries: what is read is written back the same, and each refusal says what to write instead."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.formats.event import FIELDS as EVENT_FIELDS
from audit.formats.fields import ALIASES, ANY, DATA, FIELDS
from audit.formats.grammar import MAX_TEXT, MAX_VALUES, Query, QueryRefused, Term, Value, in_fields, parse, scalars

DOCS = Path(__file__).parents[3] / "docs"

words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)
hostile = st.sampled_from(
    ['"', "\\", "*", "%", "_", "a b", "\u202eabc", "-", ":", "a:b", '"a"', "\\\\", "null", "7", " ", "\t"]
)
names = st.sampled_from([name for name, field in FIELDS.items() if field.kind == "text"])
plain_values = st.builds(Value, words | hostile)
values = plain_values | st.builds(Value, (words | hostile).filter(bool), prefix=st.just(True))
times = st.sampled_from(
    [("after", "7d"), ("before", "2026-01-01"), ("until", "2026-01-01T10:00:00Z"), ("on", "2026-03-04")]
)


@st.composite
def data_terms(draw: st.DrawFn) -> Term:
    value = draw(words | hostile)
    found = Value(value, only_text=bool(scalars(value)) and draw(st.booleans()))
    path = tuple(draw(st.lists(words | hostile, min_size=1, max_size=10)))
    return Term(DATA, (found,), draw(st.booleans()), path)


any_values = st.builds(Value, (words | hostile).filter(bool), prefix=st.booleans())
terms = (
    st.builds(Term, st.just(ANY), any_values.map(lambda value: (value,)), st.booleans())
    | st.builds(Term, names, st.lists(values, min_size=1, max_size=3, unique=True).map(tuple), st.booleans())
    | data_terms()
    | times.map(lambda pair: Term(pair[0], (Value(pair[1]),)))
)
queries = st.lists(terms, max_size=8, unique_by=lambda term: term.key).map(lambda found: Query(tuple(found)))


@given(queries)
def test_a_query_written_as_text_reads_back_as_the_same_query(query: Query) -> None:
    assert parse(str(query)) == query


@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from(["actor", ":", '"', "-", "*", " ", "data", ".", "a", "\\"])).map("".join)
)
def test_any_text_is_refused_or_stable(text: str) -> None:
    try:
        query = parse(text)
    except QueryRefused as refused:
        assert refused.message
        assert 1 <= refused.position <= len(text) + 1
        for offer in refused.offers:
            stable_or_refused(offer)
        return
    assert parse(str(query)) == query
    assert str(parse(str(query))) == str(query)


def stable_or_refused(text: str) -> None:
    try:
        assert parse(str(parse(text))) == parse(text)
    except QueryRefused as refused:
        assert refused.message


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("  actor:alice   type:gateway.*  ", "actor:alice type:gateway.*"),
        ("actor_id:alice event_type:a.b since:7d", "actor:alice type:a.b after:7d"),
        ("actor:alice outcome:failure actor:bob", "actor:alice actor:bob outcome:failure"),
        ("actor:alice actor:alice", "actor:alice"),
        ("actor:alice -actor:bob", "actor:alice -actor:bob"),
        ('actor:"alice"', "actor:alice"),
        ('actor:"alice b" actor:"say \\"hi\\" \\\\"', 'actor:"alice b" actor:"say \\"hi\\" \\\\"'),
        ('type:"a*b"', 'type:"a*b"'),
        ('actor:"a b"*', 'actor:"a b"*'),
        ('actor:""', 'actor:""'),
        ("actor:a:b actor:C:\\temp", "actor:a:b actor:C:\\temp"),
        ('data.a.b-c:7 data.a.b-c:"7" data.x:"y"', 'data.a.b-c:7 data.a.b-c:"7" data.x:y'),
        ('data."app.kubernetes.io/name":web', 'data."app.kubernetes.io/name":web'),
        ("id:0198C5A27B1E7000800000000000002A", "id:0198c5a2-7b1e-7000-8000-00000000002a"),
        ("after:7d before:2026-01-01", "after:7d before:2026-01-01"),
        ("rr-17 -alice a.b*", "rr-17 -alice a.b*"),
        ('"7d" "failure" "a:b" "-x" "alice"', '"7d" "failure" "a:b" "-x" alice'),
        ("user:alice host:192.0.2.7 event:a.b", "actor:alice ip:192.0.2.7 type:a.b"),
        ("ip:2001:0DB8::0:1 ip:::ffff:192.0.2.7", "ip:2001:db8::1 ip:192.0.2.7"),
        ("ip:192.0.* -ip:2001:0DB8:*", "ip:192.0.* -ip:2001:db8:*"),
        ("", ""),
    ],
)
def test_a_text_is_written_in_one_way(text: str, written: str) -> None:
    assert str(parse(text)) == written


@pytest.mark.parametrize(
    ("text", "position", "word", "says", "offers"),
    [
        ("actr:alice", 1, "actr:alice", "did you mean `actor`?", ["actor:alice"]),
        ("actor:a -namespce:prod", 9, "-namespce:prod", "did you mean `namespace`", ["-namespace:prod"]),
        ("colour:red", 1, "colour:red", "fields: actor, type", []),
        ("rr-1*7", 1, "rr-1*7", "at the end alone", []),
        ('""', 1, '""', "anything at all", []),
        ("actor:a -", 9, "-", "missing after the dash", []),
        ("192.0.2.7", 1, "192.0.2.7", "such as ip:", ["ip:192.0.2.7", "actor:192.0.2.7"]),
        ("2026-03-04", 1, "2026-03-04", "such as on:", ["on:2026-03-04", "after:2026-03-04", "before:2026-03-04"]),
        ("24h", 1, "24h", "such as after:", ["after:24h", "before:24h"]),
        ("failure", 1, "failure", "such as outcome:", ["outcome:failure"]),
        ("actor:a OR actor:b", 9, "OR", "repeat a field for OR", ['"OR"']),
        ("actor:a AND NOT type:b", 9, "AND", "always combined with AND", ['"AND"']),
        ("-NOT", 1, "-NOT", "write `-` before", ['-"NOT"']),
        ("actor:", 1, "actor:", "the value is missing", []),
        ("actor: alice", 1, "actor:", "the value is missing", []),
        ('actor:"alice', 1, 'actor:"alice', "the quotation does not end", []),
        ('actor:"alice"bob', 1, 'actor:"alice"bob', "the quotation does not end", []),
        ("type:gateway.*.x", 1, "type:gateway.*.x", "at the end alone", []),
        ("type:*", 1, "type:*", "leave the term out", []),
        ("data.a:x*", 1, "data.a:x*", "looked up whole", []),
        ("id:7", 1, "id:7", "a UUID", []),
        ("ip:fe80::1%eth0", 1, "ip:fe80::1%eth0", "without port or zone", []),
        ("outcome:failed", 1, "outcome:failed", "success, failure or pending", []),
        ("after:yesterday", 1, "after:yesterday", "neither a span such as 24h", []),
        ("on:march", 1, "on:march", "a day such as 2026-03-04", []),
        ("after:7d after:1d", 10, "after:1d", "`after` stands twice", []),
        ("-after:7d", 1, "-after:7d", "cannot be negated", []),
        ("data:x", 1, "data:x", "data.namespace:prod", []),
        (f"data{'.a' * 65}:x", 1, f"data{'.a' * 28}…", "at most 64 levels", []),
        ("actor.id:x", 1, "actor.id:x", "`actor` has no members", []),
        ("actor:a\x00b", 8, "�", "U+0000", []),
        ("actor:a\ud800", 8, "�", "U+D800", []),
        ("a" * 10_000, MAX_TEXT + 1, "a" * 60 + "…", "10000 characters, at most 4000", []),
        (" ".join(f"actor:a{n}" for n in range(MAX_VALUES + 1)), 491, "actor:a50", "at most 50 terms are read", []),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_place_and_a_way_on(
    text: str, position: int, word: str, says: str, offers: list[str]
) -> None:
    with pytest.raises(QueryRefused) as refused:
        parse(text)
    assert says in refused.value.message
    assert (refused.value.position, refused.value.word, refused.value.offers) == (position, word, offers)
    assert f"at character {position}" in str(refused.value)


def test_the_longest_query_that_is_read_can_be_narrowed_to_a_time() -> None:
    longest = parse(" ".join(f"actor:a{n}" for n in range(MAX_VALUES)))
    narrowed = longest.with_term("after", "2026-11-01").with_term("until", "2026-11-02")
    assert parse(str(narrowed)) == narrowed


def test_a_word_without_a_field_is_meant_in_each_that_it_may_be_in() -> None:
    id_text = "0198c5a2-7b1e-7000-8000-00000000002a"
    assert list(map(str, in_fields(parse("rr-17 after:7d")))) == [
        f"{name}:rr-17 after:7d" for name in ("correlation", "actor", "resource")
    ]
    assert str(in_fields(parse(id_text))[0]) == f"id:{id_text}"
    assert in_fields(parse("actor:alice")) == []


def test_every_field_has_an_example_that_reads() -> None:
    for name, field in FIELDS.items():
        (term,) = parse(field.example).terms
        assert term.field == name


def test_the_names_of_the_event_are_understood_too() -> None:
    assert {alias for alias in ALIASES if alias in EVENT_FIELDS} >= {"actor_id", "event_type", "correlation_id"}
    assert set(ALIASES.values()) <= set(FIELDS)


def test_the_documentation_lists_every_field() -> None:
    page = (DOCS / "search.md").read_text(encoding="utf-8")
    for name, field in FIELDS.items():
        index = "index" if field.indexed else "narrows"
        assert f"| `{name}` | {field.meaning} | {index} | `{field.example}` |" in page
