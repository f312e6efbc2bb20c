"""Legal holds: placed once, released once, both with a reason and a record; over the API by a key with the scope."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.db import IntegrityError, connections
from django.db.utils import ProgrammingError
from hypothesis import given, settings
from hypothesis.strategies import fixed_dictionaries, integers, none, sampled_from

from audit import visibility
from audit.errors import Invalid, NothingKept
from audit.formats import grammar
from audit.models import LegalHold, Record, Writer
from audit.retention import approval, legal_holds
from audit.retention.legal_holds import Named
from audit.search import query
from tests.audit.conftest import Sender, an_event, one
from tests.audit.retention.conftest import BEN, aged, word

HOLDS = "/api/v1/audit/legal-hold"


def held(writer: Sender, events: int = 2) -> str:
    """A correlation with so many records."""
    correlation = f"matter-{secrets.token_hex(4)}"
    for _ in range(events):
        assert writer.post(an_event(correlation_id=correlation)).status_code == 201
    return correlation


def of_correlation(correlation: str) -> list[LegalHold]:
    """All holds that there are and were, newest first."""
    return list(LegalHold.objects.filter(correlation_id=correlation))


def released_by_two(hold: LegalHold, reason: str = "settled") -> LegalHold:
    """A hold that Otto asked to release and Ben approved."""
    request = legal_holds.ask_release(hold, reason=reason, by="otto")
    legal_holds.decide_release(request, approve=True, by=BEN)
    return LegalHold.objects.get(pk=hold.pk)


@pytest.fixture
def holder() -> Sender:
    return Sender("hold")


def test_a_hold_is_a_record_before_it_stands(writer: Sender) -> None:
    correlation = held(writer)
    placed = legal_holds.place(correlation, reason="case 7", by="olga")
    act = Record.objects.get(event_type="audit.hold.placed", resource_id=correlation)
    assert (act.actor_id, act.resource_type, act.event_data) == (
        "olga",
        "correlation",
        {"hold": placed.pk, "reason": "case 7"},
    )


@pytest.mark.parametrize("act", [legal_holds.place, legal_holds.release])
def test_what_cannot_be_recorded_is_not_done(act: Any, writer: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    correlation = held(writer, 1)
    if act is legal_holds.release:
        legal_holds.place(correlation, reason="case 7", by="olga", by_service=True)
    before = [(hold.pk, hold.released_at) for hold in of_correlation(correlation)]

    def refuse(*facts: Any, **more: Any) -> None:
        raise NothingKept

    monkeypatch.setattr("audit.ingest.trail.add", refuse)
    with pytest.raises(NothingKept):
        act(correlation, reason="case 8", by="olga")
    assert [(hold.pk, hold.released_at) for hold in of_correlation(correlation)] == before


def test_a_second_hold_does_not_write_over_the_reason_of_the_first(writer: Sender) -> None:
    correlation = held(writer)
    legal_holds.place(correlation, reason="case 7", by="olga")
    with pytest.raises(legal_holds.AlreadyHeld):
        legal_holds.place(correlation, reason="case 8", by="otto")
    assert [hold.reason for hold in of_correlation(correlation)] == ["case 7"]
    assert not Record.objects.filter(event_type="audit.hold.placed", resource_id=correlation, actor_id="otto").exists()


def test_a_released_correlation_can_be_held_again_and_both_stay_known(writer: Sender) -> None:
    correlation = held(writer)
    legal_holds.place(correlation, reason="case 7", by="olga")
    end = released_by_two(of_correlation(correlation)[0]).released
    assert end is not None
    assert (end.asked_by, end.released_by, end.reason) == ("otto", BEN, "settled")
    act = Record.objects.get(event_type="audit.hold.released", resource_id=correlation)
    assert act.actor_id == BEN
    assert {name: act.event_data[name] for name in ("hold", "reason", "placed_by", "asked_by")} == {
        "hold": end.hold_id,
        "reason": "settled",
        "placed_by": "olga",
        "asked_by": "otto",
    }
    legal_holds.place(correlation, reason="case 9", by="olga")
    assert [hold.reason for hold in of_correlation(correlation)] == ["case 9", "case 7"]


def test_a_hold_needs_records_and_a_reason(writer: Sender) -> None:
    with pytest.raises(legal_holds.NothingToHold):
        legal_holds.place("no-such-correlation", reason="case 7", by="olga")
    correlation = held(writer, 1)
    for reason in ("", "  ", "x" * 2_001, "a\x00b"):
        with pytest.raises(Invalid):
            legal_holds.place(correlation, reason=reason, by="olga")
    assert of_correlation(correlation) == []


def test_what_is_not_held_cannot_be_released(writer: Sender) -> None:
    correlation = held(writer, 1)
    with pytest.raises(legal_holds.NotHeld):
        legal_holds.release(correlation, reason="settled", by="olga")


RELEASE = (
    "INSERT INTO audit_retentionrequest (kind, category, hold_id, reason, asked_by, by_service) "
    "VALUES ('release', '', {hold}, 'x', 'olga', {service}) RETURNING id"
)
APPROVE = (
    "INSERT INTO audit_retentiondecision (request_id, decision, decided_by, record_id) "
    "VALUES (%s, 'approved', %s, gen_random_uuid())"
)


@pytest.mark.parametrize("role", ["default", "owner"])
@pytest.mark.parametrize(
    "act",
    [
        *("DELETE FROM audit_legalhold WHERE id = {}", "UPDATE audit_legalhold SET correlation_id = 'x' WHERE id = {}"),
        *("TRUNCATE audit_legalhold CASCADE", "UPDATE audit_legalhold SET released_at = now() WHERE id = {}"),
    ],
)
def test_nobody_takes_a_hold_away_or_turns_it(writer: Sender, act: str, role: str) -> None:
    placed = legal_holds.place(held(writer, 1), reason="case 7", by="olga")
    refusal = "append-only" if role == "owner" else "permission denied"
    with pytest.raises((IntegrityError, ProgrammingError), match=refusal), connections[role].cursor() as cursor:
        cursor.execute(act.format(placed.pk))


@pytest.mark.parametrize("service", ["false", "true"])
def test_postgresql_lets_nobody_release_alone_what_a_person_placed(writer: Sender, service: str) -> None:
    placed = legal_holds.place(held(writer, 1), reason="case 7", by="olga")
    with connections["default"].cursor() as cursor:
        cursor.execute(RELEASE.format(hold=placed.pk, service=service))
        (request,) = cursor.fetchone()
        with pytest.raises(IntegrityError, match="a second person decides"):
            cursor.execute(APPROVE, [request, "olga"])
        cursor.execute(APPROVE, [request, "ben"])
        cursor.execute(RELEASE.format(hold=placed.pk, service=service))
        (again,) = cursor.fetchone()
        with pytest.raises(IntegrityError, match="released already"):
            cursor.execute(APPROVE, [again, "ben"])


def test_whoever_asks_for_a_release_does_not_approve_it(writer: Sender) -> None:
    placed = legal_holds.place(held(writer, 1), reason="case 7", by="olga")
    request = legal_holds.ask_release(placed, reason="settled", by="otto")
    with pytest.raises(approval.SecondPersonNeeded):
        legal_holds.decide_release(request, approve=True, by="otto")
    legal_holds.decide_release(request, approve=False, by=BEN)
    assert LegalHold.objects.get(pk=placed.pk).released is None
    later = legal_holds.ask_release(placed, reason="settled", by="otto")
    legal_holds.withdraw_release(later, by="otto")
    assert LegalHold.objects.get(pk=placed.pk).released is None
    released_by_two(placed)
    with pytest.raises(legal_holds.NotHeld):
        legal_holds.ask_release(LegalHold.objects.get(pk=placed.pk), reason="again", by="otto")


def test_a_key_does_not_release_what_people_hold(writer: Sender, holder: Sender) -> None:
    correlation = held(writer, 1)
    legal_holds.place(correlation, reason="case 7", by="olga", matter="7/2026")
    answer = holder.delete({"release_reason": "x"}, path=f"{HOLDS}/{correlation}")
    assert (answer.status_code, "two people release it" in answer.json()["detail"]) == (403, True)
    assert holder.post({"correlation_id": correlation, "reason": "own"}, path=HOLDS).status_code == 200
    assert holder.delete({"release_reason": "x"}, path=f"{HOLDS}/{correlation}").status_code == 200
    assert [hold.matter for hold in of_correlation(correlation) if hold.released is None] == ["7/2026"]


def test_two_matters_hold_the_same_and_each_is_released_for_itself(writer: Sender) -> None:
    correlation = held(writer, 1)
    record = Record.objects.get(correlation_id=correlation)
    first, second = (
        legal_holds.place(correlation, reason="asked for", by="olga", matter=matter) for matter in ("7/2026", "8/2026")
    )
    with pytest.raises(legal_holds.AlreadyHeld):
        legal_holds.place(correlation, reason="again", by="olga", matter="7/2026")
    released_by_two(first)
    assert is_held(record.pk)
    released_by_two(second)
    assert not is_held(record.pk)


def is_held(record_id: Any) -> bool:
    return bool(one("SELECT audit_held(r) FROM audit_record r WHERE id = %s", record_id))


AT = datetime(2026, 3, 4, 12, tzinfo=UTC)
HAS = {"actor": "actor_id", "resource": "resource_id", "category": "event_category", "correlation_id": "correlation_id"}


@given(
    named=fixed_dictionaries({}, optional=dict.fromkeys(HAS, sampled_from(["one", "two"]))),
    has=fixed_dictionaries(dict.fromkeys(HAS, sampled_from(["one", "two"]))),
    since=none() | integers(-2, 2),
    days=none() | integers(1, 3),
)
@settings(max_examples=40)
def test_a_record_is_held_as_the_plain_model_says(
    named: dict[str, str], has: dict[str, str], since: int | None, days: int | None
) -> None:
    mark = word()
    named, has = ({name: f"{mark}-{value}" for name, value in values.items()} for values in (named, has))
    begins = None if since is None else AT + timedelta(days=since)
    ends = None if days is None else (begins or AT) + timedelta(days=days - 1, seconds=1)
    asked = Named(**named, since=begins, before=ends, writer=mark if not named else "")
    assert Named() != asked
    hold = LegalHold(**asked._asdict(), reason="x", placed_by="olga", placed_at=AT, matter=mark)
    hold.insert()
    try:
        record = aged(AT, **{HAS[name]: value for name, value in has.items()})
        expected = (
            all(has[name] == value for name, value in named.items())
            and not asked.writer
            and (begins is None or begins <= AT)
            and (ends is None or ends > AT)
        )
        assert is_held(record) == expected
        assert ({each.pk for each in legal_holds.of_record(Record.objects.get(pk=record))} == {hold.pk}) == expected
        search = query.Search(query=grammar.parse(grammar.text(asked.query())), now=datetime.now(UTC))
        assert query.matching(search).filter(pk=record).exists() == expected
    finally:
        released_by_two(hold)
    assert not is_held(record)


def test_what_comes_later_is_held_and_counted(writer: Sender) -> None:
    actor = f"actor-{word()}"
    hold = legal_holds.place(Named(actor=actor), reason="case 7", by="olga", matter="7/2026")
    assert legal_holds.how_many(legal_holds.named(hold)) == (0, False)
    act = Record.objects.get(event_type="audit.hold.placed", resource_id=str(hold.pk))
    assert act.event_data == {"hold": hold.pk, "reason": "case 7", "matter": "7/2026", "query": f"actor:{actor}"}
    record = aged(datetime.now(UTC), actor_id=actor)
    assert is_held(record)
    assert legal_holds.how_many(legal_holds.named(hold)) == (1, False)


@pytest.mark.parametrize(
    ("named", "member"),
    [
        (Named(), "correlation_id"),
        (Named(actor="x" * 256), "actor"),
        (Named(writer="x" * 101), "writer"),
        (Named(since=AT, before=AT), "before"),
        (Named(resource="a\x00"), "resource"),
    ],
)
def test_a_hold_on_what_no_record_has_is_refused_by_name(named: Named, member: str) -> None:
    with pytest.raises(Invalid) as refused:
        legal_holds.place(named, reason="case 7", by="olga")
    assert list(refused.value.errors) == [member]


def test_a_scope_sees_holds_on_no_more_than_it_covers_and_releases_none_of_them() -> None:
    mark = word()
    own, other, of_actor = (
        legal_holds.place(Named(**named), reason="x", by="olga", matter=mark)
        for named in ({"writer": mark}, {"writer": f"{mark}-2"}, {"actor": mark})
    )
    viewer = visibility.Viewer(lambda: (visibility.Scope((mark,)),))
    with visibility.viewing(viewer):
        seen = {hold.pk for hold in legal_holds.visible()}
        assert own.pk in seen
        assert not {other.pk, of_actor.pk} & seen
        with pytest.raises(legal_holds.SeenInPart):
            legal_holds.ask_release(own, reason="settled", by="otto")


def test_a_key_with_the_scope_places_lists_and_releases(writer: Sender, holder: Sender) -> None:
    correlation = held(writer, 3)
    placed = holder.post({"correlation_id": correlation, "reason": "case 7"}, path=HOLDS)
    assert placed.status_code == 200
    answered = placed.json()
    assert (answered["events_affected"], answered["placed_by"], answered["reason"]) == (3, holder.name, "case 7")
    again = holder.post({"correlation_id": correlation, "reason": "case 8"}, path=HOLDS)
    assert (again.status_code, again.json()["type"]) == (409, "/problems/held")
    (listed,) = [hold for hold in holder.get(HOLDS).json()["holds"] if hold["correlation_id"] == correlation]
    assert listed["events_affected"] == 3
    released = holder.delete({"release_reason": "settled"}, path=f"{HOLDS}/{correlation}")
    assert (released.status_code, released.json()["events_released"]) == (200, 3)
    assert correlation not in [hold["correlation_id"] for hold in holder.get(HOLDS).json()["holds"]]
    assert holder.delete({"release_reason": "again"}, path=f"{HOLDS}/{correlation}").status_code == 404


def test_a_correlation_with_a_newline_and_a_slash_is_released_as_any_other(writer: Sender, holder: Sender) -> None:
    correlation = f"a/b\n{secrets.token_hex(4)}"
    assert writer.post(an_event(correlation_id=correlation)).status_code == 201
    assert holder.post({"correlation_id": correlation, "reason": "case 7"}, path=HOLDS).status_code == 200
    released = holder.delete({"release_reason": "settled"}, path=f"{HOLDS}/{quote(correlation)}")
    assert (released.status_code, released.json()["correlation_id"]) == (200, correlation)


def test_a_key_without_the_scope_does_not(writer: Sender) -> None:
    correlation = held(writer, 1)
    assert writer.post({"correlation_id": correlation, "reason": "case 7"}, path=HOLDS).status_code == 403
    assert writer.get(HOLDS).status_code == 403
    assert writer.delete({"release_reason": "x"}, path=f"{HOLDS}/{correlation}").status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        *({}, [], {"correlation_id": "x"}, {"correlation_id": 1, "reason": "x"}),
        *({"correlation_id": "x\x00", "reason": "x"}, {"correlation_id": "x\ud800", "reason": "x"}),
        *({"correlation_id": "x", "reason": "\ud800"}, {"correlation_id": "x", "reason": "x", "\ud800": 1}),
    ],
)
def test_a_hold_that_says_too_little_is_refused_with_the_members_named(holder: Sender, body: object) -> None:
    answer = holder.post(body, path=HOLDS)
    assert answer.status_code == 400
    assert answer.json()["field_errors"]


def test_half_a_character_is_refused_for_what_is_already_held(writer: Sender, holder: Sender) -> None:
    correlation = held(writer, 1)
    assert holder.post({"correlation_id": correlation, "reason": "a\ud800"}, path=HOLDS).status_code == 400
    assert holder.post({"correlation_id": correlation, "reason": "case 7"}, path=HOLDS).status_code == 200
    answer = holder.delete({"release_reason": "\ud800"}, path=f"{HOLDS}/{correlation}")
    assert (answer.status_code, list(answer.json()["field_errors"])) == (400, ["release_reason"])


def test_one_event_of_ones_own_does_not_open_a_hold_on_the_records_of_others(writer: Sender) -> None:
    correlation, intruder = held(writer), Sender("write", "hold")
    Writer.objects.filter(name=intruder.name).update(reads_writers=[intruder.name])
    legal_holds.place(correlation, reason="case 7", by="olga", by_service=True)
    assert intruder.delete({"release_reason": "x"}, path=f"{HOLDS}/{correlation}").status_code == 404
    assert intruder.post(an_event(correlation_id=correlation)).status_code == 201
    answer = intruder.delete({"release_reason": "x"}, path=f"{HOLDS}/{correlation}")
    assert (answer.status_code, "may not see" in answer.json()["detail"]) == (403, True)
    assert [hold.released_at for hold in of_correlation(correlation)] == [None]
    own = held(intruder)
    assert intruder.post({"correlation_id": own, "reason": "case 8"}, path=HOLDS).status_code == 200
    assert intruder.delete({"release_reason": "settled"}, path=f"{HOLDS}/{own}").status_code == 200
