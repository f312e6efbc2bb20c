"""Receipts taken back: every event is answered for, whatever became of it."""

import json
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

import dlq.stream
from audit.formats import merkle, note, receipt
from audit.formats.note import Signer
from audit.ingest.record import store
from audit.ledger import keys
from audit.models import BrokenPromise, Record
from audit.postgres.gateway import gateway
from audit.queue import discards, drain, quarantine
from audit.receipts import verify
from tests.audit.conftest import BATCH, Sender, an_event
from tests.audit.receipts.conftest import (
    VERIFY,
    an_accepted,
    broken_of,
    late,
    parked,
    receipt_for,
    seal_all,
    states,
)
from tests.servers import RECEIPT_KEY


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
