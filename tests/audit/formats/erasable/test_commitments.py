"""Commitments: what the digest covers of a member that can be erased later."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.errors import Invalid
from audit.formats import canonical, event, redaction
from audit.formats.erasable import commitments, rules
from audit.formats.erasable.commitments import INSTEAD, Gone
from audit.formats.erasable.kept import Kept
from audit.formats.erasable.rules import MAX_PLACES, Rule, Rules

EMAIL = Rule(name="mail", path="event_data.user.email", reason="GDPR")
SENT = {
    "version": "1.0",
    "event_type": "shop.order.placed",
    "event_timestamp": "2026-11-27T10:00:00Z",
    "event_category": "shop",
    "event_action": "placed",
    "event_outcome": "success",
    "correlation_id": "order-1",
    "event_data": {"user": {"email": "žofie@example.org", "id": 7}, "tags": ["a", "b"], "$erasable": "by the client"},
}


def accepted(document: Any = SENT, *named: Rule) -> Any:
    return event.accept(document, writer="shop", erasing=Rules(named or (EMAIL,)))


def test_the_digest_covers_a_commitment_and_the_value_stands_beside() -> None:
    taken = accepted()

    document, beside = json.loads(taken.body), taken.beside["event_data.user.email"]
    assert document["event_data"]["user"] == {"email": INSTEAD, "id": 7}
    assert document["event_data"]["$erasable"] == "by the client"
    committed = hashlib.sha256(beside.salt + '"žofie@example.org"'.encode()).hexdigest()
    assert document["erasable"] == {"event_data.user.email": committed}
    assert taken.digest == canonical.digest(taken.body)
    assert SENT["event_data"]["user"]["email"] == "žofie@example.org", "what was sent is not changed"


def test_without_a_rule_that_concerns_it_an_event_is_as_it_was() -> None:
    document = SENT | {"event_id": "0198bcf2-7e5c-7d3e-9a54-1c2f6b0e4d11"}
    other = [Rule(name="n", path="event_data.**", event_type="gateway.*", reason="r")]
    other += [Rule(name="s", path="event_data.**", only_sensitive=True, reason="r")]

    taken, plain = accepted(document, *other), event.accept(document, writer="shop")
    assert (taken.body, taken.digest, taken.beside) == (plain.body, plain.digest, None)


def test_the_same_value_has_another_commitment_in_each_event() -> None:
    first, second = (json.loads(accepted().body)["erasable"] for _ in range(2))

    assert first.keys() == second.keys()
    assert first != second


def test_no_client_can_send_the_commitments_itself() -> None:
    with pytest.raises(Invalid) as refused:
        accepted(SENT | {"erasable": {"event_data.user.email": "00" * 32}})

    assert refused.value.errors == {"erasable": "this field is unknown"}


def test_a_field_is_committed_to_where_it_was_sent_and_not_where_it_is_a_default() -> None:
    rule = Rule(name="actor", path="actor_id", reason="r")

    named = json.loads(accepted(SENT | {"actor_id": "zofie"}, rule).body)
    unnamed = json.loads(accepted(SENT, rule).body)

    assert (named["actor_id"], [*named["erasable"]]) == (INSTEAD, ["actor_id"])
    assert (unnamed["actor_id"], "erasable" in unnamed) == ("shop", False)


def test_all_data_of_a_sensitive_event_is_one_commitment() -> None:
    rule = Rule(name="all", path="event_data", only_sensitive=True, reason="r")

    taken = accepted(SENT | {"is_sensitive": True}, rule)

    document = json.loads(taken.body)
    assert (document["event_data"], [*document["erasable"]]) == ({}, ["event_data"])
    assert commitments.whole(document, taken.beside)["event_data"] == SENT["event_data"]


def test_a_member_within_another_that_is_named_is_no_place_of_its_own() -> None:
    taken = accepted(SENT, EMAIL, Rule(name="user", path="event_data.user", reason="r"))

    assert [*taken.beside] == ["event_data.user"]


@pytest.mark.parametrize(
    "data", [{f"m{n}": n for n in range(MAX_PLACES + 1)}, {"n" * 600: 1}], ids=["too many", "too long"]
)
def test_where_places_are_too_many_or_too_long_the_data_is_committed_to_as_a_whole(data: dict[str, Any]) -> None:
    taken = accepted(
        SENT | {"event_data": data, "actor_ip": "::1"},
        *(Rule(name=path, path=path, reason="r") for path in ("event_data.*", "actor_ip")),
    )

    assert sorted(taken.beside) == ["actor_ip", "event_data"]


@pytest.mark.parametrize(
    ("path", "because"),
    [
        ("correlation_id", "the store needs correlation_id itself"),
        ("event_type", "begins with one of"),
        ("event_data.**.a.**.b", "more than once"),
        ("actor_id.name", "has no members"),
    ],
)
def test_a_rule_that_cannot_be_applied_is_refused(path: str, because: str) -> None:
    with pytest.raises(Invalid) as refused:
        rules.check(Rule(name="n", path=path, reason="r"))

    assert because in refused.value.errors["path"]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(-1e15, 1e15)
    | st.text('ab."*ž ', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('ab."*ž ', max_size=4), inner, max_size=3),
    max_leaves=12,
)


@pytest.mark.slow
@given(
    st.dictionaries(st.text('ab."*ž ', max_size=4), JSON, max_size=4),
    st.sampled_from(["event_data.*", "event_data.**", "event_data.*.*", "event_data"]),
)
def test_values_in_their_places_are_what_was_sent_and_a_retry_is_the_same(data: dict[str, Any], path: str) -> None:
    rule = Rule(name="n", path=path, reason="r")
    document = SENT | {"event_data": data, "event_id": "0198bcf2-7e5c-7d3e-9a54-1c2f6b0e4d11"}
    plain, first, again = event.accept(document, writer="shop"), accepted(document, rule), accepted(document, rule)

    sent = commitments.whole(json.loads(again.body), again.beside or {})
    named = json.loads(first.body).get("erasable", {})
    assert canonical.canonical(sent) == plain.body
    assert commitments.same_as(sent, named, first.beside or {}, ()) == first.digest
    assert commitments.same_as(sent, named, {}, named.keys()) == first.digest
    assert not [*commitments.faults(named, first.beside or {}, ())]
    if first.beside:
        assert commitments.from_text(commitments.to_text(first.beside)) == first.beside


def test_an_event_with_another_value_is_not_the_same() -> None:
    first, other = accepted(), accepted(SENT | {"event_data": {"user": {"email": "other", "id": 7}}})
    named = json.loads(first.body)["erasable"]

    sent = commitments.whole(json.loads(other.body), other.beside)
    assert commitments.same_as(sent, named, first.beside, ()) != first.digest
    with pytest.raises(Gone):
        commitments.same_as(SENT | {"event_data": {}}, named, first.beside, ())


def test_each_fault_of_a_value_is_named() -> None:
    kept = Kept(b"s" * 32, b'"v"')
    named = {"a": kept.commitment, "b": kept.commitment, "c": kept.commitment}

    found = dict(commitments.faults(named, {"a": Kept(b"t" * 32, b'"v"'), "b": kept, "d": kept}, {"b"}))

    assert found["a"].startswith("is not the value")
    assert found["b"].startswith("is said to be erased")
    assert found["c"].startswith(commitments.MISSING)
    assert found["d"].startswith("was never accepted")


def test_a_shown_record_has_no_salt_of_what_is_redacted_in_it_or_around_it() -> None:
    salts = {"event_data.user": "1", "event_data.users": "2", "event_data.card": "3", "actor_id": "4"}
    record = {"salts": dict(salts)}

    redaction.conceal(record, [("event_data", "user", "email"), ("event_data", "card"), ("actor_id",)])

    assert record["salts"] == {"event_data.users": "2"}
