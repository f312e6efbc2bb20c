"""Legal holds: placed once, released once, both with a reason and a record; over the API by a key with the scope."""

import secrets
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connections
from django.db.utils import ProgrammingError

from audit.errors import Invalid, NothingKept
from audit.evidence import legal_holds
from audit.models import LegalHold, Record, Writer
from tests.audit.conftest import Sender, an_event

HOLDS = "/api/v1/audit/legal-hold"


def held(writer: Sender, events: int = 2) -> str:
    """A correlation with so many records."""
    correlation = f"matter-{secrets.token_hex(4)}"
    for _ in range(events):
        assert writer.post(an_event(correlation_id=correlation)).status_code == 201
    return correlation


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
        legal_holds.place(correlation, reason="case 7", by="olga")
    before = [(hold.pk, hold.released_at) for hold in legal_holds.of_correlation(correlation)]

    def refuse(*facts: Any, **more: Any) -> None:
        raise NothingKept

    monkeypatch.setattr("audit.ingest.trail.add", refuse)
    with pytest.raises(NothingKept):
        act(correlation, reason="case 8", by="olga")
    assert [(hold.pk, hold.released_at) for hold in legal_holds.of_correlation(correlation)] == before


def test_a_second_hold_does_not_write_over_the_reason_of_the_first(writer: Sender) -> None:
    correlation = held(writer)
    legal_holds.place(correlation, reason="case 7", by="olga")
    with pytest.raises(legal_holds.AlreadyHeld):
        legal_holds.place(correlation, reason="case 8", by="otto")
    assert [hold.reason for hold in legal_holds.of_correlation(correlation)] == ["case 7"]
    assert not Record.objects.filter(event_type="audit.hold.placed", resource_id=correlation, actor_id="otto").exists()


def test_a_released_correlation_can_be_held_again_and_both_stay_known(writer: Sender) -> None:
    correlation = held(writer)
    legal_holds.place(correlation, reason="case 7", by="olga")
    released = legal_holds.release(correlation, reason="settled", by="otto")
    assert (released.released_by, released.release_reason) == ("otto", "settled")
    act = Record.objects.get(event_type="audit.hold.released", resource_id=correlation)
    assert act.event_data == {"hold": released.pk, "reason": "settled", "placed_by": "olga"}
    legal_holds.place(correlation, reason="case 9", by="olga")
    assert [hold.reason for hold in legal_holds.of_correlation(correlation)] == ["case 9", "case 7"]


def test_a_hold_needs_records_and_a_reason(writer: Sender) -> None:
    with pytest.raises(legal_holds.NothingToHold):
        legal_holds.place("no-such-correlation", reason="case 7", by="olga")
    correlation = held(writer, 1)
    for reason in ("", "  ", "x" * 2_001, "a\x00b"):
        with pytest.raises(Invalid):
            legal_holds.place(correlation, reason=reason, by="olga")
    assert legal_holds.of_correlation(correlation) == []


def test_what_is_not_held_cannot_be_released(writer: Sender) -> None:
    correlation = held(writer, 1)
    with pytest.raises(legal_holds.NotHeld):
        legal_holds.release(correlation, reason="settled", by="olga")


def test_the_application_cannot_take_a_hold_away(writer: Sender) -> None:
    placed = legal_holds.place(held(writer, 1), reason="case 7", by="olga")
    with pytest.raises(ProgrammingError, match="permission denied"), connections["default"].cursor() as cursor:
        cursor.execute("DELETE FROM audit_legalhold WHERE id = %s", [placed.pk])
    assert LegalHold.objects.filter(pk=placed.pk).exists()


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
    legal_holds.place(correlation, reason="case 7", by="olga")
    assert intruder.delete({"release_reason": "x"}, path=f"{HOLDS}/{correlation}").status_code == 404
    assert intruder.post(an_event(correlation_id=correlation)).status_code == 201
    answer = intruder.delete({"release_reason": "x"}, path=f"{HOLDS}/{correlation}")
    assert (answer.status_code, "may not see" in answer.json()["detail"]) == (403, True)
    assert [hold.released_at for hold in legal_holds.of_correlation(correlation)] == [None]
    own = held(intruder)
    assert intruder.post({"correlation_id": own, "reason": "case 8"}, path=HOLDS).status_code == 200
    assert intruder.delete({"release_reason": "settled"}, path=f"{HOLDS}/{own}").status_code == 200
