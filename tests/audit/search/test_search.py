"""A query finds exactly what a plain filter in Python finds, and what would scan is refused with a way on."""

import random
import secrets
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connections
from django.db.models.expressions import RawSQL
from django.test.utils import CaptureQueriesContext
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.formats import grammar, times
from audit.formats.event import accept
from audit.formats.fields import DATA, FIELDS, OUTCOMES
from audit.formats.grammar import Query, Term, Value
from audit.ingest.record import store
from audit.models import Record
from audit.search import cost, query
from audit.search.query import Search
from tests.audit.conftest import Sender, an_event

ODD = ("alice", "alice.b", "al%ce", "al_ce", "al\\ce", "Alice", "\u202eecila", "a b", 'a"b', "", "*")
NUMBERS = (7, 7.5, True, None, "7", "true", "null", "alice", ["alice"], {"b": "alice"}, {"b": 7})
# Addresses as they are sent, and with all their parts.
ADDRESSES = {
    **dict.fromkeys(("192.0.2.7", "::ffff:192.0.2.7", "::FFFF:c000:0207", "0::ffff:192.0.2.7"), "192.0.2.7"),
    **{"192.0.2.70": "192.0.2.70", "::ffff:192.0.20.7": "192.0.20.7", "::c000:207": "0:0:0:0:0:0:c000:207"},
    **dict.fromkeys(("2001:db8::1", "2001:0DB8:0::0:1", "2001:db8:0:0:0:0:0.0.0.1"), "2001:db8:0:0:0:0:0:1"),
}
NOW = datetime(2026, 8, 20, tzinfo=UTC)


def _varied(correlation: str, number: int) -> dict[str, Any]:
    """One of a few hundred records that differ in everything a query may name."""
    pick = random.Random(number).choice
    return an_event(
        correlation_id=f"{correlation}-{number % 3}",
        event_type=pick(["gateway.signal", "gateway.crd", "gateway", "gatewayx.a", "gate_way.b", "workflow.run"]),
        event_timestamp=(NOW - timedelta(hours=number % 97)).isoformat(),
        event_category=pick(["gateway", "workflow"]),
        event_action=pick(["made", "done"]),
        event_outcome=pick(OUTCOMES),
        severity=pick(["info", "critical", "odd"]),
        actor_id=pick(ODD),
        actor_type=pick(["user", "service"]),
        resource_id=pick(ODD),
        resource_type=pick(["Pod", "Node"]),
        namespace=pick([None, "prod", "dev"]),
        cluster_id=pick([None, *ODD]),
        error_code=pick([None, "E1", "E_1"]),
        actor_ip=pick([None, *ADDRESSES]),
        event_data={"a": pick(NUMBERS), "a.b": pick(NUMBERS), "n": number % 5},
    )


@pytest.fixture(scope="module")
def stored() -> list[Record]:
    """The records of this module, in correlations of their own."""
    correlation = f"search-{secrets.token_hex(6)}"
    accepted = [accept(_varied(correlation, number), writer="tests") for number in range(300)]
    store(accepted, timeout_s=30)
    return list(Record.objects.filter(id__in=[one.id for one in accepted]).order_by("-event_timestamp", "-id"))


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON, where true is no number."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _in_data(record: Record, path: tuple[str, ...], value: Value) -> bool:
    found: Any = record.event_data
    for key in path:
        if not isinstance(found, dict) or key not in found:
            return False
        found = found[key]
    meanings = [value.text, *([] if value.only_text else grammar.scalars(value.text))]
    return any(_same(found, meaning) for meaning in meanings)


def _has(record: Record, term: Term, value: Value) -> bool:
    if term.field == DATA:
        return _in_data(record, term.path, value)
    at, found = record.event_timestamp, getattr(record, FIELDS[term.field].column)
    match term.field:
        case "after":
            return at >= times.read_time(value.text, NOW)
        case "before":
            return at < times.read_time(value.text, NOW)
        case "until":
            return at <= times.read_time(value.text, NOW)
        case "on":
            return at.astimezone(UTC).date().isoformat() == value.text
    if found is None:
        return False
    if term.field == "ip":
        spelled = ADDRESSES[found]
        return spelled.startswith(value.text) if value.prefix else spelled == ADDRESSES[value.text]
    return str(found).startswith(value.text) if value.prefix else str(found) == value.text


def plainly(records: list[Record], wanted: Query) -> list[Record]:
    """The same filter without a database."""
    return [
        record
        for record in records
        if all(any(_has(record, term, value) for value in term.values) != term.negated for term in wanted.terms)
    ]


_columns = st.sampled_from([name for name, field in FIELDS.items() if field.kind == "text" and name != "correlation"])
_texts = st.sampled_from(
    [*ODD, "gateway", "gateway.", "gateway.signal", "gate_", "info", "critical", "prod", "E_", "E1", "tests", "user"]
)
_values = st.builds(Value, _texts) | st.builds(Value, _texts.filter(bool), prefix=st.just(True))
_plain_terms = st.builds(Term, _columns, st.lists(_values, min_size=1, max_size=3).map(tuple), st.booleans())
_outcomes = st.builds(Term, st.just("outcome"), st.tuples(st.sampled_from(OUTCOMES).map(Value)), st.booleans())
_in_the_data = st.sampled_from(["7", "7.0", "7.5", "true", "null", "alice", "8", ""]).flatmap(
    lambda text: st.builds(
        lambda only, negated, path: Term(DATA, (Value(text, only_text=only),), negated, path),
        st.booleans(),
        st.booleans(),
        st.sampled_from([("a",), ("a.b",), ("a", "b"), ("n",), ("none",)]),
    )
)  # fmt: skip
_times = st.sampled_from(
    [("after", "48h"), ("before", "2026-08-18"), ("until", "2026-08-18T00:00:00Z"), ("on", "2026-08-17")]
).map(lambda pair: Term(pair[0], (Value(pair[1]),)))
_addresses = st.sampled_from(list(ADDRESSES)).map(Value) | st.builds(
    Value,
    st.sampled_from(["192.", "192.0.2.", "2001:db8:", "2001:db8:0:", "0:0:0:0:0:0:", "2001:0:"]),
    prefix=st.just(True),
)
_at = st.builds(Term, st.just("ip"), st.lists(_addresses, min_size=1, max_size=3).map(tuple), st.booleans())
_queries = st.lists(_plain_terms | _at | _outcomes | _in_the_data | _times, max_size=4, unique_by=lambda term: term.key)


@pytest.mark.parametrize("examples", [60, pytest.param(300, marks=pytest.mark.long)])
def test_a_query_finds_what_a_plain_filter_finds(stored: list[Record], examples: int) -> None:
    settings(max_examples=examples, deadline=None)(given(st.just(stored), _queries)(_finds))()


def _finds(stored: list[Record], terms: list[Term]) -> None:
    own = Term("correlation", (Value(stored[0].correlation_id[:-1], prefix=True),))
    wanted = Query((own, *terms))
    found, more = query.page(Search(query=wanted, now=NOW, limit=1000))
    assert [one.id for one in found] == [one.id for one in plainly(stored, wanted)]
    assert not more


def test_an_address_narrows_what_an_index_finds(stored: list[Record]) -> None:
    wanted = grammar.parse(f"ip:2001:db8::1 correlation:{stored[0].correlation_id}")
    with cost.reading(never=("enable_seqscan",)):
        plan = query.matching(Search(query=wanted, now=NOW)).explain()
    assert "correlation_id" in plan.split("Index Cond")[1].splitlines()[0]
    assert "Seq Scan on audit_record" not in plan


@pytest.mark.parametrize("text", ["data.n:3", "data.n:3 outcome:failure", "data.n:3 -data.a:7", "data.n:9"])
def test_pages_of_the_data_are_whole(stored: list[Record], text: str) -> None:
    wanted = grammar.parse(f"{_own(stored)} {text}")
    assert pages(Search(query=wanted, now=NOW, limit=7)) == [one.id for one in plainly(stored, wanted)]


def test_a_value_too_common_to_gather_is_met_on_the_way_back(
    stored: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit.search.query.FIRST_WAY_MS", 1)
    # One row alone takes longer to gather than there is time.
    slow = Record.objects.alias(slow=RawSQL("(SELECT pg_sleep(0.003) IS NOT NULL AND audit_record.id IS NOT NULL)", []))
    wanted = grammar.parse(f"{_own(stored)} data.n:3")
    with CaptureQueriesContext(connections["reader"]) as queries:
        found, more = query.page(Search(query=wanted, now=NOW, limit=5), slow.filter(slow=True))
    assert [one.id for one in found] == [one.id for one in plainly(stored, wanted)][:5]
    assert more
    assert any("enable_bitmapscan" in one["sql"] for one in queries)


def test_a_page_of_a_common_value_is_read_from_the_newest_records_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.search.query.NEWEST_MS", 5_000)  # timing decides nothing here
    actor = f"common-{secrets.token_hex(6)}"
    events = [an_event(actor_id=actor, event_data={"n": number % 3}) for number in range(30)]
    store([accept(event, writer="tests") for event in events], timeout_s=20)
    stored = list(Record.objects.filter(actor_id=actor))
    wanted = grammar.parse(f"actor:{actor} data.n:1")
    with CaptureQueriesContext(connections["reader"]) as queries:
        found, more = query.page(Search(query=wanted, now=NOW, limit=7))
    assert [record.id for record in found] == [record.id for record in plainly(stored, wanted)][:7]
    assert more
    assert not any("enable_" in query["sql"] for query in queries)
    # What the newest do not fill is gathered, and pages that follow each other leave nothing out.
    assert pages(Search(query=wanted, now=NOW, limit=4)) == [record.id for record in plainly(stored, wanted)]


def test_a_value_that_only_old_records_have_is_found(stored: list[Record], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.search.query.NEWEST", 2)
    wanted = grammar.parse(f"correlation:{stored[0].correlation_id} data.n:3")
    assert pages(Search(query=wanted, now=NOW, limit=1)) == [record.id for record in plainly(stored, wanted)]


def _own(stored: list[Record]) -> str:
    return f"correlation:{stored[0].correlation_id[:-1]}*"


def pages(search: Search) -> list[Any]:
    """The ids of all pages in turn."""
    found: list[Any] = []
    after = None
    while True:
        search = Search(query=search.query, now=search.now, limit=search.limit, after=after)
        rows, more = query.page(search)
        found += [one.id for one in rows]
        if not more:
            return found
        after = query.read_cursor(query.cursor(rows[-1]))


@pytest.fixture
def inserting() -> Iterator[tuple[str, Callable[[], None]]]:
    """A thread that goes on storing records of one actor, at times all over the list."""
    actor, going = f"busy-{secrets.token_hex(6)}", threading.Event()
    stored_one = threading.Semaphore(0)

    def insert() -> None:
        number = 0
        while not going.is_set():
            number += 1
            when = (NOW - timedelta(seconds=number * 7919 % 600)).isoformat()
            store([accept(an_event(actor_id=actor, event_timestamp=when), writer="tests")], timeout_s=20)
            stored_one.release()

    thread = threading.Thread(target=insert)
    thread.start()
    yield actor, lambda: stored_one.acquire(timeout=30) and None
    going.set()
    thread.join()


@pytest.mark.parametrize("path", ["plain", "data"])
def test_pages_make_up_the_whole_list_while_inserts_go_on(inserting: tuple[str, Callable[[], None]], path: str) -> None:
    actor, another = inserting
    for _ in range(40):
        another()
    before = set(Record.objects.filter(actor_id=actor).values_list("id", flat=True))
    wanted = grammar.parse(f"actor:{actor}" + (" data.count:3" if path == "data" else ""))
    seen: list[Record] = []
    after, more = None, True
    while more and len(seen) < 10_000:
        rows, more = query.page(Search(query=wanted, now=NOW, limit=6, after=after))
        seen += rows
        after = query.read_cursor(query.cursor(rows[-1])) if more else None
        another()
    order = [(one.event_timestamp, one.id) for one in seen]
    assert order == sorted(set(order), reverse=True)
    assert before <= {one.id for one in seen}


WIDE = "namespace:nowhere"


def test_a_small_store_answers_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.search.cost.MOST_READ", 10**9)
    cost.check(grammar.parse(WIDE))


def test_what_would_scan_is_refused_with_its_reason_and_narrower_queries(
    stored: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit.search.cost.MOST_READ", -1)
    with pytest.raises(cost.TooExpensive) as refused:
        cost.check(grammar.parse(f"{WIDE} -actor:alice after:7d"))
    message = str(refused.value)
    assert "this would cost as much as reading about" in message
    assert "no index finds `namespace:`, `-actor:` alone" in message
    assert "name an actor, type, category, resource or correlation" in message
    assert refused.value.offers == []  # none of them would be narrow enough


def test_the_offers_are_the_widest_windows_that_are_narrow_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = {"30d": 900, "7d": 90, "24h": 9, "1h": 0}
    monkeypatch.setattr(
        "audit.search.cost.estimate", lambda wanted, now, among: reads.get(str(wanted).rpartition("after:")[2], 10_000)
    )
    monkeypatch.setattr("audit.search.cost.MOST_READ", 100)
    with pytest.raises(cost.TooExpensive, match=r"at most 7d \(after:7d\), or name an actor") as refused:
        cost.check(grammar.parse(WIDE))
    assert [str(offer) for offer in refused.value.offers] == [f"{WIDE} after:7d", f"{WIDE} after:24h"]
    with pytest.raises(cost.TooExpensive) as refused:
        cost.check(grammar.parse(f"{WIDE} before:2026-01-01"))
    assert refused.value.offers == []  # a span from now may lie outside


@pytest.mark.parametrize(
    "text",
    ["", "after:7d", "actor:alice", "outcome:failure before:2026-01-01", "data.a:b", "data.a:b namespace:prod"],
)
def test_what_an_index_serves_is_not_even_estimated(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.search.cost.MOST_READ", -1)
    with CaptureQueriesContext(connections["reader"]) as queries:
        cost.check(grammar.parse(text))
    assert len(queries) == 0


def test_a_beginning_is_looked_up_in_the_index(stored: list[Record]) -> None:
    wanted = query.matching(Search(query=grammar.parse("type:gate_way.*"), now=NOW)).order_by()
    with cost.reading(never=("enable_seqscan",)):
        plan = wanted.explain()
    assert "gate_way/" in plan  # the end of the range: a filter alone has none


def test_an_index_bounds_what_is_read(stored: list[Record]) -> None:
    found = grammar.parse(f"id:{stored[0].id} namespace:nowhere")
    assert cost.estimate(found, NOW) <= 10 * cost.SCATTERED


def test_the_api_refuses_it_as_not_valid_and_names_the_parameter(
    service: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit.search.cost.MOST_READ", -1)
    for parameters, named in (({"q": WIDE}, "q"), ({"resource_type": "Pod"}, "resource_type")):
        response = service.get(**parameters)
        assert response.status_code == 400
        assert set(response.json()["field_errors"]) == {named}
        assert "no index finds" in response.json()["field_errors"][named]


def test_a_count_that_is_cut_off_says_how_many_there_are_at_least(
    service: Sender, stored: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit.search.query.count", lambda *records: None)
    response = service.get(correlation_id=stored[0].correlation_id, limit=4)
    assert response.json()["pagination"]["total"] == 4
    assert response.json()["pagination"]["total_is_capped"] is True
