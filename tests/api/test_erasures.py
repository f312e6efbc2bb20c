"""Erasures over HTTP: a key asks, and sees what became of its own; it decides nothing."""

from typing import Any

import pytest

from audit.evidence.erasure import requests
from audit.models import ErasureRequest, Record, Writer
from tests.audit.conftest import Sender
from tests.audit.evidence.erasure.conftest import BASIS, person, stored, values

ERASURES = "/api/v1/audit/erasures"


@pytest.fixture
def officer() -> Sender:
    return Sender("erase")


def asked(email: str, **changes: Any) -> dict[str, Any]:
    return {"kind": "value", "subject": email, "basis": BASIS, "reason": "ticket 4711"} | changes


def test_a_key_asks_a_person_decides_and_the_key_sees_what_became_of_it(officer: Sender) -> None:
    email = person()
    rows = stored(email)
    answer = officer.post(asked(email, paths=["event_data.email"]), ERASURES)
    assert answer.status_code == 202
    body = answer.json()
    assert (body["state"], body["records"], body["paths"], body["erased"]) == ("waiting", 2, ["event_data.email"], 0)
    assert any(place["what"].startswith("backups") for place in body["not_reached"])
    assert email not in answer.content.decode()
    assert len(values(rows[0].pk)) == 2

    request = ErasureRequest.objects.get(pk=body["id"])
    assert request.asked_by == officer.name
    requests.decide(request, approve=True, by="otto")
    requests.carry_out(request)

    after = officer.get(f"{ERASURES}/{request.pk}").json()
    assert (after["state"], after["decided_by"], after["erased"], after["held_records"]) == ("done", "otto", 2, [])
    listed = officer.get(ERASURES).json()
    assert [each["id"] for each in listed["erasures"]] == [request.pk] and listed["total"] == 1
    act = Record.objects.get(resource_type="erasure", resource_id=str(request.pk), event_type="audit.erasure.asked")
    assert (act.actor_id, act.actor_type) == (officer.name, "service")


def test_what_another_key_asked_for_is_not_shown(officer: Sender) -> None:
    email = person()
    stored(email, 1)
    number = officer.post(asked(email), ERASURES).json()["id"]
    other = Sender("erase")
    assert other.get(f"{ERASURES}/{number}").status_code == 404
    assert other.get(ERASURES).json() == {"erasures": [], "total": 0}


def test_a_key_without_the_scope_asks_for_nothing() -> None:
    email = person()
    stored(email, 1)
    other = Sender("write", "read", "export", "hold")
    assert other.post(asked(email), ERASURES).status_code == 403
    assert other.get(ERASURES).status_code == 403


def test_a_key_asks_only_about_records_that_it_may_read() -> None:
    email = person()
    stored(email, 1)
    limited = Sender("erase")
    Writer.objects.filter(pk=limited.writer.pk).update(reads_writers=["somebody-else"])
    answer = limited.post(asked(email), ERASURES)
    assert answer.status_code == 400
    assert "no record" in answer.json()["field_errors"]["subject"]


@pytest.mark.parametrize(
    ("changes", "member"),
    [
        ({"kind": "all"}, "kind"),
        ({"subject": ""}, "subject"),
        ({"basis": None}, "basis"),
        ({"paths": "event_data.email"}, "paths"),
        ({"paths": ["event_type"]}, "paths"),
        ({"paths": ["a\nb"]}, "paths"),
        ({"approve": True}, "approve"),
    ],
)
def test_what_says_too_little_or_too_much_is_refused_by_name(
    officer: Sender, changes: dict[str, Any], member: str
) -> None:
    email = person()
    stored(email, 1)
    answer = officer.post(asked(email, **changes), ERASURES)
    assert answer.status_code == 400
    assert member in answer.json()["field_errors"]
