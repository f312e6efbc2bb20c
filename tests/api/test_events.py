"""POST events: what a writer may count on."""

import json
import secrets
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
import uuid_utils.compat
from django.conf import settings
from django.db import connections
from django.test import Client

from audit.api import events
from audit.api.events import EventsView
from audit.api.throttles import WriterThrottle
from audit.errors import Conflict
from audit.formats import canonical
from audit.formats.event import accept
from audit.ingest import record
from audit.models import Record
from tests.audit.conftest import BATCH, EVENTS, Sender, an_event
from tests.audit.formats.conftest import SAMPLES

# Deeper than Python reads before 3.14.
NESTED = b'{"a":' * 50_000 + b"1" + b"}" * 50_000
DEEP = json.dumps(an_event(event_data={})).encode().replace(b'"event_data": {}', b'"event_data": ' + NESTED)


def stored(correlation_id: str) -> list[Record]:
    return list(Record.objects.filter(correlation_id=correlation_id))


def test_an_event_is_stored_and_the_receipt_says_so(writer: Sender) -> None:
    document = an_event()
    response = writer.post(document)
    assert response.status_code == 201
    receipt = response.json()
    assert receipt.pop("receipt").startswith("auditsite/receipt/v1\n")
    (record,) = stored(document["correlation_id"])
    assert receipt == {
        "event_id": str(record.id),
        "event_timestamp": "2026-08-18T10:00:00.000000Z",
        "message": "audit event stored",
        "state": "stored",
        "digest": bytes(record.digest).hex(),
    }
    assert record.writer == writer.name


@pytest.mark.parametrize("document", SAMPLES, ids=lambda document: document["event_type"])
def test_every_real_event_reads_back_equal_and_its_digest_holds(service: Sender, document: dict[str, Any]) -> None:
    event_id = service.post(document).json()["event_id"]
    answered = service.get(f"{EVENTS}/{event_id}").json()
    sent = document | {"event_timestamp": document["event_timestamp"].replace("Z", ".000000Z")}
    assert {name: answered[name] for name in sent} == sent
    assert Record.objects.get(id=event_id).digest_holds


def test_the_same_event_again_has_the_same_receipt_and_one_record(writer: Sender) -> None:
    document = an_event(event_id=str(uuid_utils.compat.uuid7()))
    first, again = writer.post(document), writer.post(document)
    assert (first.status_code, again.status_code) == (201, 200)
    # A receipt is signed anew, with its time; what it promises is the same.
    once, twice = ({k: v for k, v in one.json().items() if k not in ("message", "receipt")} for one in (first, again))
    assert once == twice
    assert len(stored(document["correlation_id"])) == 1


def test_the_same_id_with_other_content_is_a_conflict_and_the_attempt_is_recorded(writer: Sender) -> None:
    document = an_event(event_id=str(uuid_utils.compat.uuid7()))
    writer.post(document)
    response = writer.post(document | {"event_outcome": "failure"})
    assert response.status_code == 409
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["field_errors"] == {"event_id": "was used before with other content"}
    attempts = [r for r in stored(document["correlation_id"]) if r.event_type == "audit.event.conflict"]
    assert [attempt.event_data["offered_by"] for attempt in attempts] == [writer.name]
    assert Record.objects.get(id=document["event_id"]).event_outcome == "success"


def test_another_writer_cannot_take_over_an_id(writer: Sender, service: Sender) -> None:
    document = an_event(event_id=str(uuid_utils.compat.uuid7()))
    assert writer.post(document).status_code == 201
    assert service.post(document).status_code == 409


def test_a_batch_is_stored_in_one_go(writer: Sender) -> None:
    documents = [an_event(correlation_id="batch-one-go") for _ in range(3)]
    response = writer.post(documents, BATCH)
    assert response.status_code == 201
    assert [str(UUID(found)) for found in response.json()["event_ids"]] == response.json()["event_ids"]
    assert len(response.json()["event_ids"]) == 3


def test_a_bad_event_is_named_by_its_place_and_nothing_of_the_batch_is_kept(writer: Sender) -> None:
    good, bad = an_event(), an_event(event_outcome="maybe")
    del bad["version"]
    response = writer.post([good, bad, an_event(surprise=1)], BATCH)
    assert response.status_code == 400
    errors = response.json()["field_errors"]
    assert set(errors) == {"1.version", "1.event_outcome", "2.surprise"}
    assert errors["1.event_outcome"] == "must be success, failure or pending, not 'maybe'"
    assert stored(good["correlation_id"]) == []


def test_a_refused_conflict_is_recorded_whoever_calls_the_verb() -> None:
    document = an_event() | {"event_id": str(uuid_utils.compat.uuid7())}
    record.record([accept(document, writer="tests")])
    with pytest.raises(Conflict):
        record.record([accept(document | {"severity": "other"}, writer="tests")])
    (attempt,) = Record.objects.filter(event_type="audit.event.conflict", event_data__event_id=document["event_id"])
    assert attempt.event_data["offered_by"] == "tests"


def test_a_batch_with_a_conflict_keeps_nothing(writer: Sender) -> None:
    old = an_event(event_id=str(uuid_utils.compat.uuid7()))
    writer.post(old)
    new = an_event()
    response = writer.post([new, old | {"severity": "high"}], BATCH)
    assert response.status_code == 409
    assert set(response.json()["field_errors"]) == {"1.event_id"}
    assert stored(new["correlation_id"]) == []


def test_each_conflict_of_a_batch_is_recorded_and_all_of_them_by_one_statement(
    writer: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    correlation = f"rr-{secrets.token_hex(6)}"
    old = [an_event(event_id=str(uuid_utils.compat.uuid7()), correlation_id=correlation) for _ in range(20)]
    assert writer.post(old, BATCH).status_code == 201
    statements: list[int] = []
    insert = record._insert

    def counted(connection: Any, events: Any, parked_at: Any) -> Any:
        statements.append(len(events))
        return insert(connection, events, parked_at)

    monkeypatch.setattr(record, "_insert", counted)
    response = writer.post([an_event(), *(one | {"severity": "high"} for one in old)], BATCH)
    assert response.status_code == 409
    assert len(response.json()["field_errors"]) == 20
    assert statements == [21, 20]
    attempts = [found for found in stored(correlation) if found.event_type == "audit.event.conflict"]
    assert {found.event_data["event_id"] for found in attempts} == {one["event_id"] for one in old}
    assert {found.event_data["offered_by"] for found in attempts} == {writer.name}


def test_a_batch_may_be_sent_again(writer: Sender) -> None:
    documents = [an_event(event_id=str(uuid_utils.compat.uuid7())) for _ in range(3)]
    first, again = writer.post(documents, BATCH), writer.post(documents, BATCH)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["event_ids"] == again.json()["event_ids"]


def test_an_id_twice_in_a_batch_must_have_the_same_content(writer: Sender) -> None:
    document = an_event(event_id=str(uuid_utils.compat.uuid7()))
    response = writer.post([document, document | {"severity": "high"}], BATCH)
    assert set(response.json()["field_errors"]) == {"1.event_id"}
    assert writer.post([document, document], BATCH).status_code == 201
    assert len(stored(document["correlation_id"])) == 1


@pytest.mark.parametrize("body", [[], [an_event()] * 1001, {}, 1, None], ids=["empty", "1001", "{}", "1", "null"])
def test_a_batch_of_the_wrong_size_or_kind_is_refused(writer: Sender, body: Any) -> None:
    response = writer.post(body, BATCH)
    assert response.status_code == 400
    assert "batch size" in response.json()["field_errors"][""]
    assert "batch size" in response.json()["detail"]


def test_a_batch_of_a_thousand_is_stored(writer: Sender) -> None:
    correlation = an_event()["correlation_id"]
    response = writer.post([an_event(correlation_id=correlation) for _ in range(1000)], BATCH)
    assert response.status_code == 201
    assert Record.objects.filter(correlation_id=correlation).count() == 1000


@pytest.mark.parametrize(
    ("body", "path", "named"),
    [
        (b"{", "", "not valid JSON"),
        (b'{"a":1,"a":2}', "a", "occurs twice"),
        (DEEP, "event_data" + ".a" * 64, "nested too deep"),
        (b'{"version": NaN}', "version", "not a JSON number"),
        (b"\xff", "", "not UTF-8"),
    ],
)
def test_a_body_that_is_not_strict_json_is_refused(writer: Sender, body: bytes, path: str, named: str) -> None:
    response = writer.post(body)
    assert response.status_code == 400
    assert named in response.json()["field_errors"][path]


@pytest.mark.parametrize(
    ("member", "path", "named"),
    [
        ('"id":1507591916746609046', "id", "send it as a string"),
        ('"a":1,"a":2', "a", "the name 'a' occurs twice"),
        ('"x":[1,-Infinity]', "x.1", "not a JSON number"),
        ('"x":{"y":1e400}', "x.y", "beyond 2^53-1"),
        (f'"x":{"[" * 2000}{"]" * 2000}', "x" + ".0" * 63, "nested too deep"),
        ('"x":' + "[" * 64 + "]" * 64, "x" + ".0" * 63, "nested too deep"),
        ('"x":"\\ud800"', "x", "lone surrogate"),
    ],
)
def test_what_json_cannot_say_alike_everywhere_is_named_by_its_place_in_a_batch(
    writer: Sender, member: str, path: str, named: str
) -> None:
    batch = json.dumps([an_event(event_data={"here": 1}), an_event(), an_event(event_outcome="maybe")])
    response = writer.post(batch.replace('"here": 1', member, 1).encode(), BATCH)
    assert response.status_code == 400
    errors = response.json()["field_errors"]
    assert errors.keys() == {f"0.event_data.{path}", "2.event_outcome"}
    assert named in errors[f"0.event_data.{path}"]


@pytest.mark.parametrize(
    "respell", [str.upper, lambda text: text.replace("-", ""), "urn:uuid:{}".format, "{{{}}}".format]
)
def test_an_event_is_found_by_its_id_as_it_was_sent(service: Sender, respell: Callable[[str], str]) -> None:
    document = an_event(event_id=respell(str(uuid_utils.compat.uuid7())))
    assert service.post(document).status_code == 201
    answer = service.get(f"{EVENTS}/{document['event_id']}")
    assert answer.status_code == 200
    assert answer.json()["correlation_id"] == document["correlation_id"]


def test_an_integer_may_be_written_with_a_fraction_of_nothing(service: Sender) -> None:
    body = json.dumps(an_event(duration_ms=12.0, event_data={"n": 3.0}))
    answer = service.get(f"{EVENTS}/{service.post(body.encode()).json()['event_id']}").json()
    assert (answer["duration_ms"], answer["event_data"]) == (12, {"n": 3})


def test_sixty_four_levels_are_kept_shown_and_searched(service: Sender) -> None:
    data: dict[str, Any] = {"a": "deep"}
    for _ in range(63):
        data = {"a": data}
    document = an_event(event_data=data)
    event_id = service.post(document).json()["event_id"]
    query = f"correlation:{document['correlation_id']} data{'.a' * 64}:deep"
    (answer,) = service.get(q=query).json()["data"]
    assert (answer["event_id"], answer["event_data"]) == (event_id, data)


def test_an_empty_body_lacks_every_field(writer: Sender) -> None:
    response = writer.post(b"")
    assert response.status_code == 400
    assert "version" in response.json()["field_errors"]


def test_a_body_over_the_limit_is_413(writer: Sender) -> None:
    response = writer.post(b" " * (5 * 1024 * 1024 + 1))
    assert response.status_code == 413
    assert response.json()["type"] == "/problems/too-large"


def test_another_content_type_is_415(writer: Sender) -> None:
    assert writer.post(b"{}", content_type="text/plain").status_code == 415


def test_the_wrong_method_is_405(writer: Sender) -> None:
    response = writer.client.put(EVENTS, headers={"Authorization": f"Bearer {writer.key}"})
    assert (response.status_code, response.json()["type"]) == (405, "/problems/method-not-allowed")


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer nonsense"}, {"X-API-Key": "aw_1"}])
def test_without_a_valid_key_nothing_is_taken(headers: dict[str, str]) -> None:
    response = Client().post(EVENTS, json.dumps(an_event()), content_type="application/json", headers=headers)
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Bearer"
    assert response["Content-Type"] == "application/problem+json"


def test_the_key_may_come_as_x_api_key(writer: Sender) -> None:
    response = Client().post(
        EVENTS, json.dumps(an_event()), content_type="application/json", headers={"X-API-Key": writer.key}
    )
    assert response.status_code == 201


def test_a_reader_may_not_write_and_a_writer_not_read(reader: Sender, writer: Sender) -> None:
    assert reader.post(an_event()).status_code == 403
    assert writer.get().status_code == 403


def test_the_digest_can_be_computed_from_the_answer_alone(service: Sender) -> None:
    event_id = service.post(an_event()).json()["event_id"]
    answer = service.get(f"{EVENTS}/{event_id}").json()
    known_to_the_store = {"state", "digest", "received_at", "parked_at", "stored_at"}
    document = {name: value for name, value in answer.items() if name not in known_to_the_store}
    assert canonical.digest(canonical.canonical(document)).hex() == answer["digest"]


def test_an_error_answers_with_the_request_id_and_no_inner_workings(writer: Sender) -> None:
    response = writer.post({"x": "y"}, headers={"X-Request-ID": "trace-12345"})
    assert response["X-Request-ID"] == "trace-12345"
    assert not {"Traceback", "psycopg", "SELECT"} & set(response.content.decode().split())


def test_an_unknown_path_is_a_problem_too(writer: Sender) -> None:
    response = writer.get("/api/v1/audit/nothing")
    assert (response.status_code, response["Content-Type"]) == (404, "application/problem+json")


def test_many_senders_of_one_event_at_once_store_it_once(writer: Sender) -> None:
    document = an_event(event_id=str(uuid_utils.compat.uuid7()))

    def send(_: int) -> int:
        status: int = writer.post(document).status_code
        connections.close_all()
        return status

    with ThreadPoolExecutor(8) as threads:
        answers = Counter(threads.map(send, range(24)))
    assert answers == {201: 1, 200: 23}
    assert len(stored(document["correlation_id"])) == 1


def test_a_writer_over_its_rate_is_429_and_told_when_to_come_back(
    writer: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "WRITER_RATE", "2/min")
    monkeypatch.setattr(EventsView, "throttle_classes", [WriterThrottle])
    answers = [writer.post(an_event()) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert 0 < int(answers[-1]["Retry-After"]) <= 61
    assert answers[-1].json()["type"] == "/problems/rate-limited"


@pytest.mark.slow
def test_without_the_cache_nobody_is_throttled(
    writer: Sender, monkeypatch: pytest.MonkeyPatch, redis_server: Any
) -> None:
    monkeypatch.setattr(settings, "WRITER_RATE", "1/min")
    monkeypatch.setattr(EventsView, "throttle_classes", [WriterThrottle])
    with redis_server.stopped():
        assert [writer.post(an_event()).status_code for _ in range(3)] == [201] * 3


def test_a_child_may_arrive_before_its_parent(writer: Sender) -> None:
    assert writer.post(an_event(parent_event_id=str(uuid_utils.compat.uuid7()))).status_code == 201


@pytest.mark.parametrize("path", [EVENTS, "/api/v1/audit/export", "/api/v1/audit/account"])
def test_a_parameter_that_stands_twice_is_refused(path: str) -> None:
    name = "writer" if path.endswith("account") else "actor_id"
    response = Sender("read", "export").get(path, **{name: ["alice", "bob"]})
    assert response.status_code == 400
    assert "stands twice" in response.json()["field_errors"][name]


def test_an_event_that_leaves_the_queue_between_the_two_looks_is_shown(
    django_db_setup: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Sender("write", "read")
    document = an_event(event_id=str(uuid_utils.compat.uuid7()))
    look = events._parked

    def drained_meanwhile(event_id: UUID) -> dict[str, Any] | None:
        assert service.post(document).status_code == 201
        return look(event_id)

    monkeypatch.setattr(events, "_parked", drained_meanwhile)
    assert service.get(f"{EVENTS}/{document['event_id']}").json()["state"] in ("stored", "sealed")
