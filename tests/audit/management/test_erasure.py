"""`manage.py erasure`: what the pages do, from a terminal, and with two accounts of the system."""

import io
import sys
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from audit.management.commands import erasure
from audit.models import ErasureRequest, Record
from tests.audit.evidence.erasure.conftest import BASIS, person, stored, values


def command(*arguments: Any, code: int | None = None) -> str:
    """What the command prints; `code`, where it ends with an exit status."""
    out = io.StringIO()
    if code is None:
        call_command("erasure", *map(str, arguments), stdout=out)
    else:
        with pytest.raises(SystemExit) as ended:
            call_command("erasure", *map(str, arguments), stdout=out)
        assert ended.value.code == code
    return out.getvalue()


def asked(email: str, *more: str) -> ErasureRequest:
    command("ask", "--value", email, "--basis", BASIS, "--reason", "she asked", *more)
    request = ErasureRequest.objects.first()
    assert request is not None
    return request


def by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure, "operator_name", lambda: "otto")


def test_a_look_requests_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    email, before = person(), ErasureRequest.objects.count()
    stored(email)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{email}\n"))
    printed = command("ask", "--value", "-", "--basis", BASIS)
    assert "event_data.email  of 2 records" in printed
    assert "2 records, of which 0 are held" in printed
    assert "Nothing is requested" in printed
    assert ErasureRequest.objects.count() == before


def test_one_account_asks_another_approves_and_a_run_erases(monkeypatch: pytest.MonkeyPatch) -> None:
    email = person()
    rows = stored(email)
    request = asked(email, "--member", "event_data.email")
    assert "waiting for a second person" in command("show", request.pk)
    with pytest.raises(CommandError, match="no second person has approved"):
        command("run", request.pk)
    with pytest.raises(CommandError, match="cannot decide about it"):
        command("approve", request.pk)
    by_another(monkeypatch)
    command("approve", request.pk)
    assert "0 records held" not in command("show", request.pk)
    printed = command("run", request.pk, code=0)
    assert "done, approved by otto, 2 values erased, 0 records held" in printed
    assert [values(row.pk).keys() for row in rows] == [{"actor_ip"}] * 2
    assert f"erasure {request.pk}: 2 records" in command("list")
    assert email not in command("show", request.pk)


def test_what_has_no_time_left_is_unfinished_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    email = person()
    stored(email)
    request = asked(email)
    by_another(monkeypatch)
    command("approve", request.pk)
    monkeypatch.setattr("audit.evidence.erasure.requests.PORTION", 1)
    assert "under way" in command("run", request.pk, "--seconds", -1, code=erasure.UNFINISHED)
    command("run", code=0)
    assert request.state(erasure._progress(request)) != "waiting"


def test_a_refusal_needs_its_ground_and_is_a_record(monkeypatch: pytest.MonkeyPatch) -> None:
    email = person()
    rows = stored(email)
    request = asked(email)
    by_another(monkeypatch)
    with pytest.raises(CommandError, match="ground is required"):
        command("refuse", request.pk, "--ground", " ")
    command("refuse", request.pk, "--ground", "Art. 17(3)(b): tax law")
    assert "refused by otto" in command("list")
    acts = Record.objects.filter(
        resource_type="erasure", resource_id=str(request.pk), event_type="audit.erasure.refused"
    )
    assert [act.actor_id for act in acts] == ["otto"]
    assert len(values(rows[0].pk)) == 2


@pytest.mark.parametrize(
    ("arguments", "because"),
    [
        (["show", "999999999"], "There is no erasure 999999999"),
        (["ask", "--ids", "x", "--basis", "b"], "x is not the id of a record"),
        (["ask", "--value", "nobody", "--basis", "b", "--member", "event_type"], "begins with one of"),
    ],
)
def test_what_cannot_be_is_refused_by_name(arguments: list[str], because: str) -> None:
    with pytest.raises(CommandError, match=because):
        command(*arguments)


def test_the_standard_input_is_read_for_every_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = stored(person(), 1)
    monkeypatch.setattr(sys, "stdin", io.StringIO(str(rows[0].pk)))
    assert "1 records" in command("ask", "--ids", "-", "--basis", BASIS)
