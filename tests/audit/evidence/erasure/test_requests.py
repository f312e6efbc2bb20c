"""Erasures: two people, each act a record, and a database that does nothing without them."""

import secrets
from typing import Any

import psycopg
import pytest
from django.db import connections
from django.db.utils import DatabaseError, IntegrityError, ProgrammingError

from audit import tasks, visibility
from audit.errors import Invalid, NothingKept
from audit.evidence.erasure import requests
from audit.evidence.erasure.requests import Decided, SamePerson
from audit.formats.event import accept
from audit.ingest import record
from audit.ledger import seal, verify
from audit.models import ErasureRequest, Finding, Record
from audit.models.erasure.requests import progress_of
from audit.retention import legal_holds
from audit.visibility import Scope, Viewer
from tests.audit.evidence.erasure.conftest import BASIS, RULES, asked, person, stored, values


def approved(email: str, **changes: str) -> ErasureRequest:
    request = requests.ask(asked(email, **changes), by="olga")
    requests.decide(request, approve=True, by="otto")
    return request


def acts(request: ErasureRequest) -> list[Record]:
    of_request = Record.objects.filter(resource_type="erasure", resource_id=str(request.pk))
    return list(of_request.order_by("event_timestamp", "id"))


def run(statement: str, *parameters: Any) -> None:
    with connections["default"].cursor() as cursor:
        cursor.execute(statement, parameters)


def test_an_erasure_takes_values_and_salts_and_leaves_the_digests() -> None:
    email = person()
    rows, others = stored(email), stored(person(), 1)

    request = approved(email, paths="event_data.email")
    progress = requests.carry_out(request)

    assert (progress.erased, progress.held, progress.done_at is not None) == (2, (), True)
    for row in rows:
        found = Record.objects.get(pk=row.pk)
        assert found.digest_holds
        shown = found.as_json()
        assert (shown["event_data"]["email"], shown["actor_ip"]) == ("$erasable", "192.0.2.7")
        assert shown["erased"]["event_data.email"]["basis"] == BASIS
        assert shown["erased"]["event_data.email"]["request"] == request.pk
        assert values(row.pk) == {"actor_ip": "192.0.2.7"}
    assert len(values(others[0].pk)) == 2
    assert [act.event_type.rpartition(".")[2] for act in acts(request)] == ["asked", "approved", "done"]
    assert email not in "".join(str(act.as_json()) for act in acts(request)), "no record says whom it was about"
    assert email not in request.subject


def test_an_event_that_comes_again_after_its_erasure_is_the_same() -> None:
    document = {**stored(person(), 1)[0].shown()}
    sent = {name: value for name, value in document.items() if name not in ("writer", "erasable", "salts", "erased")}
    request = requests.ask(asked("", kind="ids", subject=document["event_id"]), by="olga")
    requests.decide(request, approve=True, by="otto")
    requests.carry_out(request)

    (again,) = record.record([accept(sent, writer="shop", erasing=RULES)])

    assert (again.state, values(document["event_id"])) == ("duplicate", {})


def test_nobody_decides_what_they_asked_for_and_one_decision_stands() -> None:
    email = person()
    stored(email)
    request = requests.ask(asked(email), by="olga")

    with pytest.raises(SamePerson):
        requests.decide(request, approve=True, by="olga")
    with pytest.raises(Invalid, match="ground"):
        requests.decide(request, approve=False, by="otto")
    requests.decide(request, approve=False, ground="Art. 17(3)(b): tax law", by="otto")
    with pytest.raises(Decided):
        requests.decide(request, approve=True, by="otto")

    with pytest.raises(DatabaseError, match="not approved by a second person"):
        requests.carry_out(request)
    refusal = acts(request)[-1]
    assert (refusal.event_type, refusal.actor_id) == ("audit.erasure.refused", "otto")
    assert refusal.event_data["ground"] == "Art. 17(3)(b): tax law"


def test_what_is_held_keeps_everything_and_is_named() -> None:
    email = person()
    held, free = stored(email, 1), stored(email, 1)
    legal_holds.place(held[0].correlation_id, reason="case 7", by="olga")
    assert requests.preview(asked(email)).held == 1

    request = approved(email)
    progress = requests.carry_out(request)

    assert (progress.erased, progress.held) == (2, (held[0].pk,))
    assert (len(values(held[0].pk)), values(free[0].pk)) == (2, {})
    assert acts(request)[-1].event_data["held_records"] == [str(held[0].pk)]


def test_it_goes_on_from_where_it_was_and_the_schedule_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "PORTION", 1)
    email = person()
    stored(email, 3)
    request = approved(email)

    begun = requests.carry_out(request, seconds=0)
    run("SELECT audit_erase(%s, 1)", request.pk)
    assert begun.done_at is None
    assert progress_of([request.pk])[request.pk].place in (1, 2)
    tasks.erase()

    progress = progress_of([request.pk])[request.pk]
    assert (progress.place, progress.erased, progress.done_at is not None) == (3, 6, True)
    assert request not in requests.waiting()


def test_who_sees_a_part_asks_for_all_that_they_see_however_many_others_have_the_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(requests, "MAX_RECORDS", 2)
    email, writer = person(), f"w-{secrets.token_hex(4)}"
    stored(email, 40)
    rows = stored(email, writer=writer)

    with visibility.viewing(Viewer(find_scopes=lambda: (Scope((writer,)), Scope((), ("nowhere",))))):
        assert requests.preview(asked(email)).records == tuple(row.pk for row in rows)
        stored(email, 1, writer=writer)
        with pytest.raises(Invalid, match="more than 2 records"):
            requests.preview(asked(email))
    with pytest.raises(Invalid, match="more than 2 records"):
        requests.preview(asked(email))


def test_what_cannot_be_recorded_is_not_done(monkeypatch: pytest.MonkeyPatch) -> None:
    email = person()
    rows = stored(email)
    request = approved(email)

    def refuse(*facts: Any, **more: Any) -> None:
        raise NothingKept

    monkeypatch.setattr("audit.ingest.trail.add", refuse)
    with pytest.raises(NothingKept):
        requests.carry_out(request)
    with pytest.raises(NothingKept):
        requests.ask(asked(email), by="olga")
    assert len(values(rows[0].pk)) == 2
    assert ErasureRequest.objects.order_by("-id").first() == request


@pytest.mark.parametrize(
    ("changes", "member", "because"),
    [
        ({"subject": "nobody@example.org"}, "subject", "no record"),
        ({"subject": ""}, "subject", "required"),
        ({"basis": " "}, "basis", "required"),
        ({"reason": ""}, "reason", "required"),
        ({"paths": "event_type"}, "paths", "begins with one of"),
        ({"paths": "event_data.other"}, "subject", "no record"),
        ({"kind": "ids", "subject": "x"}, "subject", "not the id"),
        ({"kind": "all"}, "kind", "is one of"),
        ({"reason": "a\x00b"}, "reason", "U+0000"),
        ({"basis": "b" * 201}, "basis", "at most 200"),
    ],
)
def test_a_request_that_says_too_little_is_refused(changes: dict[str, str], member: str, because: str) -> None:
    email = person()
    stored(email, 1)
    with pytest.raises(Invalid) as refused:
        requests.ask(asked(email, **changes), by="olga")
    assert because in refused.value.errors[member]


def test_a_query_names_the_records_that_it_finds() -> None:
    rows = stored(person(), 3)
    found = requests.preview(asked("", kind="query", subject=f"correlation:{rows[0].correlation_id}"))
    assert found.records == tuple(row.pk for row in rows)
    assert found.paths == {"actor_ip": 3, "event_data.email": 3}


# --- Past the two people ---


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit_erasable WHERE record_id = %s",
        "UPDATE audit_erasable SET value = 'x' WHERE record_id = %s",
        "INSERT INTO audit_erased (record_id, path, request_id) VALUES (%s, 'actor_ip', 1)",
        "UPDATE audit_erasurerequest SET asked_by = 'x' WHERE %s::uuid = ANY(records)",
        "DELETE FROM audit_erasurerequest WHERE %s::uuid = ANY(records)",
        "UPDATE audit_erasureprogress SET place = 0 WHERE %s::uuid IS NOT NULL",
    ],
)
def test_the_application_has_no_right_to_take_a_value_away(statement: str) -> None:
    (row,) = stored(person(), 1)
    with pytest.raises(ProgrammingError, match="permission denied"):
        run(statement, row.pk)
    assert len(values(row.pk)) == 2


def test_the_application_cannot_decide_as_the_one_who_asked() -> None:
    email = person()
    stored(email, 1)
    request = requests.ask(asked(email), by="olga")
    with pytest.raises(IntegrityError, match="a second person decides"):
        run("INSERT INTO audit_erasuredecision VALUES (%s, true, 'olga', now(), '')", request.pk)


def test_a_decision_that_was_slipped_in_past_the_trigger_approves_nothing(superuser: Any) -> None:
    email = person()
    (row,) = stored(email, 1)
    request = requests.ask(asked(email), by="olga")
    superuser.execute("ALTER TABLE audit_erasuredecision DISABLE TRIGGER audit_second_person")
    try:
        superuser.execute("INSERT INTO audit_erasuredecision VALUES (%s, true, 'olga', now(), '')", [request.pk])
    finally:
        superuser.execute("ALTER TABLE audit_erasuredecision ENABLE ALWAYS TRIGGER audit_second_person")
    assert request not in requests.waiting()
    with pytest.raises(DatabaseError, match="not approved"):
        requests.carry_out(request)
    assert len(values(row.pk)) == 2


@pytest.mark.parametrize("most", [0, 1001, None])
def test_a_portion_is_bounded(most: int | None) -> None:
    with pytest.raises(DatabaseError, match="1 to 1000"):
        run("SELECT audit_erase(1, %s)", most)


def test_the_owner_takes_no_value_away_and_notes_no_erasure_without_two_people(superuser: Any) -> None:
    email = person()
    (row,) = stored(email, 1)
    (held,) = stored(email, 1)
    legal_holds.place(held.correlation_id, reason="case 7", by="olga")
    refused = requests.ask(asked(email), by="olga")
    request = approved(email, paths="actor_ip")
    note = "INSERT INTO audit_erased (record_id, path, request_id) VALUES (%s, %s, %s)"
    for statement, parameters, because in (
        ("DELETE FROM audit_erasable WHERE record_id = %s", [row.pk], "by an approved erasure, or with"),
        ("UPDATE audit_erasable SET salt = salt WHERE record_id = %s", [row.pk], "by an approved erasure, or with"),
        ("TRUNCATE audit_erasable", [], "refused"),
        ("TRUNCATE audit_erased", [], "refused"),
        ("UPDATE audit_erasuredecision SET approved = true", [], "append-only"),
        (note, [row.pk, "actor_ip", refused.pk], "not approved by a second person"),
        (note, [row.pk, "event_data.email", request.pk], "does not name event_data.email"),
        (note, [stored(person(), 1)[0].pk, "actor_ip", request.pk], "does not name actor_ip of record"),
        (note, [held.pk, "actor_ip", request.pk], "under a legal hold"),
    ):
        with pytest.raises(psycopg.errors.IntegrityError, match=because), superuser.transaction():
            superuser.execute("SET LOCAL session_replication_role = replica")
            superuser.execute(statement, parameters)
    assert len(values(row.pk)) == len(values(held.pk)) == 2


def test_a_value_that_is_gone_without_an_erasure_is_missing_and_one_that_was_changed_is_altered(superuser: Any) -> None:
    rows = stored(person(), 2)
    correlation = rows[0].correlation_id
    seal.Sealer().once(from_start=True)
    assert verify.verify("correlation", correlation_id=correlation).verdict == "VERIFIED"

    def tampered(statement: str, back: str) -> Any:
        """What a verification says while a superuser has switched the triggers off and done this."""
        with superuser.transaction():
            kept = superuser.execute(
                "SELECT salt, value FROM audit_erasable WHERE record_id = %s AND path = 'actor_ip'",
                [rows[0].pk],
            ).fetchone()
            superuser.execute("ALTER TABLE audit_erasable DISABLE TRIGGER audit_no_change")
            superuser.execute(statement, [rows[0].pk])
        try:
            run = verify.verify("correlation", correlation_id=correlation)
            return run.verdict, Finding.objects.filter(run=run).order_by("-id")[0].detail
        finally:
            with superuser.transaction():
                superuser.execute(back, [*kept, rows[0].pk])
                superuser.execute("ALTER TABLE audit_erasable ENABLE ALWAYS TRIGGER audit_no_change")

    verdict, detail = tampered(
        "DELETE FROM audit_erasable WHERE record_id = %s AND path = 'actor_ip'",
        "INSERT INTO audit_erasable (salt, value, record_id, path) VALUES (%s, %s, %s, 'actor_ip')",
    )
    assert verdict == "MISSING"
    assert "is not whole: actor_ip lost its value" in detail
    verdict, detail = tampered(
        "UPDATE audit_erasable SET value = '\"192.0.2.8\"' WHERE record_id = %s AND path = 'actor_ip'",
        "UPDATE audit_erasable SET salt = %s, value = %s WHERE record_id = %s AND path = 'actor_ip'",
    )
    assert verdict == "ALTERED"
    assert "actor_ip is not the value that was accepted" in detail
    assert verify.verify("correlation", correlation_id=correlation).verdict == "VERIFIED"


def test_what_was_erased_with_an_approval_is_verified() -> None:
    email = person()
    (row,) = stored(email, 1)
    seal.Sealer().once(from_start=True)
    requests.carry_out(approved(email))
    assert verify.verify("correlation", correlation_id=row.correlation_id).verdict == "VERIFIED"


def test_a_request_is_asked_for_by_name_and_not_by_a_number_that_is_not_there() -> None:
    with pytest.raises(DatabaseError, match="not approved"):
        run("SELECT audit_erase(%s, 1)", secrets.randbelow(10**9) + 10**9)
