"""Receipts taken back: every event is answered for, whatever became of it, and a broken promise is told once."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
import uuid_utils.compat
from django.conf import settings
from django.core.management import call_command
from django.test import override_settings

import dlq.stream
from audit import checks, tasks
from audit.errors import AuditError
from audit.formats import merkle, note, receipt
from audit.formats.event import Accepted, accept
from audit.formats.note import Signer
from audit.ingest.notify import deliver
from audit.ingest.record import store
from audit.ledger import keys, seal
from audit.models import BrokenPromise, Record
from audit.postgres.gateway import gateway
from audit.queue import discards, drain, quarantine
from audit.receipts import verify
from tests.attacks.scene import Scene
from tests.attacks.statements import DELETE, DISABLE, EDIT, EDIT_STORED
from tests.audit.conftest import BATCH, Sender, an_event
from tests.audit.receipts.conftest import an_accepted, late, parked, receipt_for
from tests.servers import RECEIPT_KEY

VERIFY = "/api/v1/audit/receipts/verify"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The alarms of a test, after what other tests left was told."""
    texts: list[str] = []
    BrokenPromise.objects.filter(told_at=None).update(told_at=datetime.now(UTC))
    monkeypatch.setattr("dlq.alarm.tell", lambda name, text, **figures: texts.append(text) or True)
    yield texts


def seal_all() -> None:
    while seal.Sealer().once(from_start=True).more:
        pass


def states(*receipts: str) -> list[str]:
    return [one.state for one in verify.verify_receipts(receipts).results]


def broken_of(event: Accepted) -> list[Record]:
    """The records that name a broken promise of this event."""
    named = {"events": [{"event_id": str(event.id)}]}
    return list(Record.objects.filter(event_type="audit.receipt.broken", event_data__contains=named))


def test_an_answer_carries_a_receipt_that_the_public_key_verifies(service: Sender) -> None:
    answer = service.post(an_event()).json()
    keys = service.get("/api/v1/audit/receipts/keys").content.decode().split()
    promised = receipt.read(answer["receipt"], [note.Verifier.parse(key) for key in keys])
    assert dict(promised.events) == {answer["event_id"]: answer["digest"]}
    assert (promised.writer, promised.state, promised.origin) == (service.name, "stored", "tests.example/log")
    assert promised.sealed_by - promised.promised_at == timedelta(seconds=settings.SEAL_MERGE_DELAY_S)


def test_a_batch_has_one_receipt_that_names_every_event(writer: Sender) -> None:
    answer = writer.post([an_event() for _ in range(5)], BATCH).json()
    promised = receipt.read(answer["receipt"], keys.receipts().verifiers)
    assert list(promised.events) == answer["event_ids"]


def test_a_stored_event_is_stored_and_then_sealed_with_a_proof_that_verifies(service: Sender) -> None:
    answer = service.post(an_event()).json()
    assert states(answer["receipt"])[0] in ("stored", "sealed")
    seal_all()
    found = service.post({"receipts": [answer["receipt"]]}, VERIFY).json()
    (event,) = found["events"]
    assert (found["verdict"], found["counts"], event["state"]) == ("kept", {"sealed": 1}, "sealed")
    proof = note.parse_proof(event["proof"])
    text, _ = note.verify(proof.note, keys.load().verifiers)
    head = note.TreeHead.parse(text)
    record = Record.objects.get(id=answer["event_id"])
    leaf = verify.locate.records.recomputed(record)
    merkle.verify_inclusion(leaf, event["leaf_index"], head.size, proof.hashes, head.root)
    assert service.get(event["proof_path"]).status_code == 200


@pytest.mark.slow
def test_while_postgresql_is_stopped_a_parked_receipt_is_signed_and_answered(service: Sender, postgres: Any) -> None:
    drain.drain(seconds=20)
    service.post(an_event())
    stored = receipt_for(an_accepted())
    with postgres.stopped():
        answer = service.post(an_event())
        assert answer.status_code == 202
        note_text = answer.json()["receipt"]
        promised = receipt.read(note_text, keys.receipts().verifiers)
        assert promised.sealed_by - promised.promised_at > timedelta(days=7)
        found = service.post({"receipts": [note_text, stored]}, VERIFY)
        assert found.status_code == 200
        assert [one["state"] for one in found.json()["events"]] == ["parked", "unknown"]
        assert found.json()["verdict"] == "unknown"
        assert "PostgreSQL" in found.json()["events"][1]["why"]
    assert gateway().breaker.wait_closed(20)
    drain.drain(seconds=20)
    seal_all()
    (event,) = service.post({"receipts": [note_text]}, VERIFY).json()["events"]
    assert (event["state"], event["promised"]) == ("sealed", "parked")
    assert event["proof"].startswith("c2sp.org/tlog-proof@v1\n")


@pytest.mark.slow
def test_while_redis_is_stopped_what_is_not_stored_is_unknown(redis_server: Any) -> None:
    event, nowhere = an_accepted(), an_accepted()
    store([event], timeout_s=20)
    with redis_server.stopped():
        assert states(receipt_for(event), late(nowhere))[1] == "unknown"
    assert not BrokenPromise.objects.filter(event_id=nowhere.id).exists()


def test_what_is_not_found_yet_is_pending_until_its_time_has_come() -> None:
    event = an_accepted()
    found = verify.verify_receipts([receipt_for(event)])
    assert (found.verdict, found.counts) == ("unknown", {"pending": 1})
    assert not BrokenPromise.objects.filter(event_id=event.id).exists()


def test_a_promise_that_was_never_kept_is_told_and_recorded_once(told: list[str]) -> None:
    event = an_accepted()
    for _ in range(3):
        found = verify.verify_receipts([late(event)])
        assert (found.verdict, [one.kind for one in found.results]) == ("broken promise", ["missing"])
    assert len(broken_of(event)) == 1
    assert len(told) == 1
    assert str(event.id) in told[0]
    row = BrokenPromise.objects.get(event_id=event.id)
    assert (row.state, row.writer, row.told_at is not None) == ("open", event.writer, True)


def test_an_alarm_that_did_not_get_through_is_told_by_the_schedule(told: list[str], monkeypatch: Any) -> None:
    event = an_accepted()
    with monkeypatch.context() as silent:
        silent.setattr("dlq.alarm.tell", lambda name, text, **figures: False)
        verify.verify_receipts([late(event)])
    assert told == []
    deliver(retry_after=timedelta(0))
    assert any(str(event.id) in text for text in told)


def test_a_record_that_waits_too_long_for_its_leaf_breaks_the_promise_and_keeps_it_when_sealed(told: list[str]) -> None:
    event = an_accepted()
    store([event], timeout_s=20)
    (answer,) = verify.verify_receipts([late(event)]).results
    assert (answer.state, answer.kind) == ("broken promise", "late")
    seal_all()
    verify.recheck_broken()
    assert BrokenPromise.objects.get(event_id=event.id).state == "closed"
    assert states(late(event)) == ["sealed"]


def test_another_digest_under_the_id_breaks_the_promise_at_once(told: list[str]) -> None:
    event = an_accepted()
    store([event], timeout_s=20)
    other = receipt_for(event, events={str(event.id): "0" * 64})
    (answer,) = verify.verify_receipts([other]).results
    assert (answer.state, answer.kind) == ("broken promise", "altered")


def test_an_event_whose_id_was_taken_keeps_its_promise_under_a_new_one(told: list[str]) -> None:
    event = an_accepted()
    thief = accept(an_event(event_id=str(event.id)), writer="thief")
    store([thief], timeout_s=20)
    drain.store_parked([parked(event)])
    seal_all()
    (answer,) = verify.verify_receipts([late(event)]).results
    assert answer.state == "sealed" and "it is kept as" in answer.why
    assert Record.objects.get(id=answer.record_id).parent_event_id == event.id
    (forged,) = verify.verify_receipts([receipt_for(event, events={str(event.id): "0" * 64})]).results
    assert forged.state == "broken promise"


def test_what_was_promised_of_another_content_is_not_kept_by_a_later_receipt(told: list[str]) -> None:
    event = an_accepted()
    store([event], timeout_s=20)
    verify.verify_receipts([receipt_for(event, events={str(event.id): "0" * 64})])
    seal_all()
    assert states(receipt_for(event)) == ["sealed"]
    verify.recheck_broken()
    assert BrokenPromise.objects.get(event_id=event.id, kind="altered").state == "open"


def test_a_promise_that_was_kept_and_is_broken_again_is_open_and_told_again(told: list[str]) -> None:
    event = an_accepted()
    verify.verify_receipts([late(event)])
    BrokenPromise.objects.filter(event_id=event.id).update(closed_at=datetime.now(UTC))
    for _ in range(2):
        verify.verify_receipts([late(event)])
    assert BrokenPromise.objects.get(event_id=event.id).state == "open"
    assert (len(broken_of(event)), sum(str(event.id) in text for text in told)) == (2, 2)


def test_a_parked_event_is_parked_until_its_time_has_come(told: list[str]) -> None:
    event = an_accepted()
    parked(event)
    assert states(receipt_for(event, state="parked")) == ["parked"]
    (answer,) = verify.verify_receipts([late(event, state="parked")]).results
    assert (answer.state, answer.kind) == ("broken promise", "late")
    (answer,) = verify.verify_receipts([receipt_for(event, events={str(event.id): "0" * 64})]).results
    assert (answer.state, answer.kind) == ("broken promise", "altered")


def test_a_dead_event_is_parked_and_needs_a_person() -> None:
    event = an_accepted()
    dlq.stream.for_drain().fail(parked(event), "Unstorable", "tests", dead=True)
    (answer,) = verify.verify_receipts([receipt_for(event, state="parked")]).results
    assert answer.state == "parked"
    assert "needs a person" in answer.why


def test_what_was_put_aside_by_an_act_says_by_whom() -> None:
    kept, given_up, undecided = an_accepted(), an_accepted(), an_accepted()
    quarantine.quarantine([parked(kept)], cause="tests", by="Quinn")
    discards.decide(discards.request(parked(given_up), reason="tests", by="Ada"), approve=True, by="Bob")
    discards.request(parked(undecided), reason="tests", by="Ada")
    answers = verify.verify_receipts([late(kept), late(given_up), receipt_for(undecided)]).results
    assert [one.state for one in answers] == ["quarantined", "discarded", "parked"]
    assert ("By Quinn" in answers[0].why, "By Bob" in answers[1].why) == (True, True)


def test_no_writer_says_that_an_event_was_discarded(writer: Sender) -> None:
    event = an_accepted()
    asked = discards.request(parked(event), reason="tests", by="Ada")
    forged = an_event(event_type="audit.parked.discarded", event_data={"message_id": asked.message_id}, actor_id="Bob")
    assert writer.post(forged).status_code == 201
    assert discards.recorded(asked) is None


def test_a_discard_that_a_crash_kept_from_being_noted_is_known_from_the_trail() -> None:
    event = an_accepted()
    asked = discards.request(parked(event), reason="tests", by="Ada")
    discards.decide(asked, approve=True, by="Bob")
    type(asked).objects.filter(pk=asked.pk).update(decision="", decided_by="", decided_at=None)
    (answer,) = verify.verify_receipts([late(event)]).results
    assert (answer.state, "By Bob" in answer.why) == ("discarded", True)


@pytest.mark.parametrize("wrong", ["another key", "altered", "no note", ""])
def test_what_we_did_not_sign_is_not_ours_and_accuses_nobody(wrong: str) -> None:
    event = an_accepted()
    other = Signer(RECEIPT_KEY.name, bytes(32))
    texts = {"another key": late(event, key=other), "altered": late(event).replace("stored", "parked")}
    found = verify.verify_receipts([texts.get(wrong, wrong)])
    assert (found.verdict, found.counts) == ("unknown", {"not ours": 1})
    assert found.results[0].event_id == ""
    assert not BrokenPromise.objects.filter(event_id=event.id).exists()


@pytest.mark.slow
def test_records_that_a_superuser_takes_away_or_alters_break_their_promise(
    elsewhere: Scene, postgres: Any, told: list[str]
) -> None:
    events = [an_accepted() for _ in range(4)]
    store(events, timeout_s=20)
    seal.Sealer().once()
    texts = [receipt_for(event) for event in events]
    assert states(*texts) == ["sealed"] * 4
    with psycopg.connect(postgres.url("postgres", f"{elsewhere.name}_now"), autocommit=True) as superuser:
        superuser.execute(DISABLE)
        superuser.execute(DELETE.format(id=events[0].id))
        superuser.execute(EDIT.format(id=events[1].id))
        superuser.execute(EDIT_STORED.format(id=events[2].id))
    found = verify.verify_receipts(texts)
    assert [one.kind for one in found.results] == ["missing", "altered", "altered", ""]
    assert "at index" in found.results[0].why
    assert len(broken_of(events[0])) == 1
    assert len(told) == 1


def test_receipts_of_a_rotated_key_hold_as_before(tmp_path: Path) -> None:
    path, event = tmp_path / "receipt_key", an_accepted()
    files = {"RECEIPT_KEY_FILE": path, "RECEIPT_PUBLIC_KEYS_FILE": keys.public_path(path)}
    with override_settings(**files):
        call_command("receiptkey", "create", verbosity=0)
        before = keys.receipts().signer
        assert before is not None
        assert (before.name, path.stat().st_mode & 0o777) == ("tests.example/log/receipts", 0o600)
        call_command("receiptkey", "rotate", stdout=StringIO(), stderr=StringIO())
        after = keys.receipts().signer  # a process that runs on sees it at its next event
        assert after not in (before, None)
        assert states(receipt_for(event, key=before), receipt_for(event, key=after)) == ["pending", "pending"]
        assert states(receipt_for(event)) == ["not ours"]
    noted = Record.objects.filter(event_type="audit.receiptkey.rotated", event_data__before=str(before)).get()
    assert noted.event_data["public_key"] == str(after)


def unsigned(sender: Sender) -> bool:
    answer = sender.post(an_event())
    assert answer.status_code == 201
    batch = sender.post([an_event()], BATCH)
    assert batch.status_code == 201
    return answer.json()["receipt"] is None and batch.json()["receipt"] is None


def test_without_a_key_events_are_taken_and_a_check_says_so(writer: Sender, tmp_path: Path) -> None:
    assert checks.receipt_key(None) == []
    with override_settings(RECEIPT_KEY=""):
        assert unsigned(writer)
        assert [one.id for one in checks.receipt_key(None)] == ["audit.W005"]
        assert writer.post({"receipts": ["x"]}, VERIFY).status_code == 500
    for wrong in ("nonsense", RECEIPT_KEY.encode()[:-6], Signer("tests.example/log", bytes(32)).encode()):
        with override_settings(RECEIPT_KEY=wrong):
            assert unsigned(writer)
            assert [one.id for one in checks.receipt_key(None)] == ["audit.E009"]
    for unreadable in (tmp_path, tmp_path / "absent"):
        with override_settings(RECEIPT_KEY_FILE=unreadable, RECEIPT_PUBLIC_KEYS=str(RECEIPT_KEY)):
            assert unsigned(writer)


def test_with_public_keys_alone_receipts_are_verified_and_not_signed(writer: Sender) -> None:
    with override_settings(RECEIPT_KEY="", RECEIPT_PUBLIC_KEYS=str(RECEIPT_KEY)):
        assert unsigned(writer)
        assert checks.receipt_key(None) == []
        assert states(receipt_for(an_accepted())) == ["pending"]


def test_a_receipt_that_cannot_be_signed_does_not_keep_the_event_from_being_answered(
    writer: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit.formats.receipt.sign", lambda *arguments: 1 / 0)
    assert unsigned(writer)


@pytest.mark.slow
def test_thousands_of_events_are_answered_in_a_few_queries_with_the_worst_in_sight(
    writer: Sender, told: list[str], django_assert_max_num_queries: Any
) -> None:
    answers = [writer.post([an_event() for _ in range(1000)], BATCH).json() for _ in range(3)]
    seal_all()
    gone = [an_accepted() for _ in range(700)]
    texts = [answer["receipt"] for answer in answers] + [late(*gone)]
    with django_assert_max_num_queries(40, using="reader"), django_assert_max_num_queries(40):
        found = verify.verify_receipts(texts)
    assert found.counts == {"broken promise": 700, "sealed": 3000}
    recorded = {record.id: record for event in gone[::100] for record in broken_of(event)}
    named = [one["event_id"] for record in recorded.values() for one in record.event_data["events"]]
    assert sorted(named) == sorted(str(one.id) for one in gone)
    body = writer.post({"receipts": texts[:1]}, VERIFY).json()
    assert sum("proof" in one for one in body["events"]) == 100
    assert all("proof_path" in one for one in body["events"])


def test_the_same_event_in_two_receipts_breaks_one_promise(told: list[str]) -> None:
    event = an_accepted()
    assert states(late(event), late(event)) == ["broken promise"] * 2
    assert BrokenPromise.objects.filter(event_id=event.id).count() == 1


@pytest.mark.parametrize("body", [{}, [], {"receipts": []}, {"receipts": [1]}, {"receipts": "x"}, None])
def test_a_request_without_receipts_is_refused(writer: Sender, body: Any) -> None:
    assert writer.post(body, VERIFY).status_code == 400


def test_more_receipts_than_are_verified_at_once_are_refused(writer: Sender) -> None:
    answer = writer.post({"receipts": [""] * 20_001}, VERIFY)
    assert answer.status_code == 400
    assert "at most 20,000" in answer.json()["field_errors"]["receipts"]


def test_writers_and_readers_may_verify_and_nobody_else(writer: Sender, reader: Sender) -> None:
    body = {"receipts": [receipt_for(an_accepted())]}
    assert [one.post(body, VERIFY).status_code for one in (writer, reader, Sender("export"))] == [200, 200, 403]


def run(*arguments: str) -> tuple[int, str]:
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("receipts", "verify", *arguments, stdout=out)
    return int(ended.value.code or 0), out.getvalue()


def test_the_command_reads_files_and_its_status_says_what_was_found(
    tmp_path: Path, writer: Sender, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, notes, gone = tmp_path / "answers.jsonl", tmp_path / "notes", an_accepted()
    kept = [writer.post(an_event()).json() for _ in range(3)]
    answers.write_text("".join(json.dumps(one) + "\n" for one in kept))
    notes.write_text("".join(one["receipt"] for one in kept))
    assert run(str(answers), str(notes))[0] == 0
    notes.write_text(late(gone))
    status, printed = run(str(answers), str(notes))
    assert status == 3
    assert f"broken promise: receipt 4 {gone.id}" in printed
    notes.write_text("hello\n")
    assert run(str(notes))[0] == 4
    notes.write_text("")
    assert run(str(notes)) == (4, "There is no receipt here: nothing was verified.\n")
    monkeypatch.setattr("sys.stdin", StringIO(kept[0]["receipt"]))
    assert run("-")[0] == 0


def test_a_broken_promise_whose_record_cannot_be_kept_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    event = an_accepted()

    def refuse(*arguments: Any, **facts: Any) -> None:
        raise AuditError("tests")

    with monkeypatch.context() as refusing:
        refusing.setattr("audit.ingest.trail.add", refuse)
        with pytest.raises(AuditError):
            verify.verify_receipts([late(event)])
    assert not BrokenPromise.objects.filter(event_id=event.id).exists()
    verify.verify_receipts([late(event)])
    assert len(broken_of(event)) == 1


def test_the_schedule_looks_at_what_is_open_and_tells_nothing_twice(told: list[str]) -> None:
    event = accept(an_event(event_id=str(uuid_utils.compat.uuid7())), writer="tests")
    verify.verify_receipts([late(event)])
    tasks.account()
    tasks.account()
    assert len([text for text in told if str(event.id) in text]) == 1
