"""The audit webhook of a Kubernetes API server is answered as it expects, whatever happens here."""

import gzip
import json
from typing import Any

import pytest

from audit.models import Record
from audit.postgres.gateway import gateway
from audit.queue import drain
from tests.api.conftest import closed_breaker
from tests.audit.conftest import Sender
from tests.audit.imports.conftest import FIELD, a_cluster_event, a_trail_event, event_list

__all__ = ["closed_breaker"]

KUBERNETES = "/api/v1/audit/import/kubernetes"
SUCCESS = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 200}


@pytest.fixture
def cluster() -> Sender:
    return Sender("write")


def found(cluster: Sender) -> list[dict[str, Any]]:
    return [row.event_data for row in Record.objects.filter(writer=cluster.name).order_by("event_timestamp", "id")]


def test_a_batch_is_stored_once_however_often_the_api_server_sends_it(cluster: Sender) -> None:
    sample = json.loads((FIELD / "k8s-audit-deployment.jsonl").read_text(encoding="utf-8"))
    batch = event_list(a_cluster_event(), sample)
    answers = [cluster.post(batch, KUBERNETES) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert answers[0].json() == SUCCESS | {"message": "2 events: 2 stored"}
    assert answers[2].json()["message"] == "2 events: 2 there already"
    assert answers[0]["Content-Type"] == "application/json"
    kept = found(cluster)
    assert sorted(kept, key=str) == sorted(batch["items"], key=str)


@pytest.mark.slow
def test_while_postgresql_is_down_a_batch_is_parked_and_answered_alike(cluster: Sender, postgres: Any) -> None:
    cluster.post(event_list(a_cluster_event()), KUBERNETES)
    batch = event_list(a_cluster_event(), a_cluster_event())
    with postgres.stopped():
        answers = [cluster.post(batch, KUBERNETES) for _ in range(2)]
    assert {(answer.status_code, answer.json()["message"]) for answer in answers} == {(200, "2 events: 2 parked")}
    assert gateway().breaker.wait_closed(20)
    drain.drain(seconds=20)
    assert len(found(cluster)) == 3


def test_an_event_that_is_not_mapped_costs_the_batch_nothing(cluster: Sender) -> None:
    good = a_cluster_event()
    answer = cluster.post(event_list({"auditID": "x"}, good, "y"), KUBERNETES)
    assert (answer.status_code, found(cluster)) == (200, [good])
    assert "2 not mapped, and kept as they came" in answer.json()["message"]
    assert cluster.post(event_list(), KUBERNETES).status_code == 200


def test_what_is_no_batch_is_refused_and_nothing_of_it_is_kept(cluster: Sender) -> None:
    broken = json.dumps(event_list(a_cluster_event(), a_cluster_event())).encode()[:-30]
    for body in (broken, b"", b"\xff"):
        answer = cluster.post(body, KUBERNETES)
        assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json"), body
    assert found(cluster) == []
    assert cluster.client.post(KUBERNETES, "{}", content_type="application/json").status_code == 401


def test_a_file_of_a_trail_is_sent_as_it_is(cluster: Sender) -> None:
    first, second = a_trail_event(), a_trail_event(eventTime="2026-03-18T00:00:00Z", futureMember={"x": 1})
    body = gzip.compress(json.dumps({"Records": [first, second]}).encode())
    answer = cluster.post(body, "/api/v1/audit/import/cloudtrail", content_type="application/gzip")
    told = answer.json()
    assert (answer.status_code, told["mapping"], told["count"]) == (201, "cloudtrail/1", 2)
    assert told["states"] == {"stored": 2, "duplicate": 0, "parked": 0, "dead": 0, "refused": 0}
    assert "futureMember" in told["unmapped"]
    assert cluster.post(body, "/api/v1/audit/import/cloudtrail", content_type="text/plain").status_code == 200
    assert found(cluster) == [first, second]
    ids = [str(row.id) for row in Record.objects.filter(writer=cluster.name).order_by("event_timestamp")]
    assert [each["event_id"] for each in told["events"]] == ids


def test_what_begins_as_gzip_and_is_none_is_refused_and_nothing_of_it_is_kept(cluster: Sender) -> None:
    whole = gzip.compress(json.dumps({"Records": [a_trail_event()]}).encode())
    for body in (b"\x1f\x8bno gzip", whole[:-8] + bytes(8), whole + b"more", whole[:-4]):
        answer = cluster.post(body, "/api/v1/audit/import/cloudtrail")
        assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json"), body
        assert "gzip" in answer.json()["field_errors"][""]
    assert found(cluster) == []


def test_a_source_without_a_mapping_is_not_found_by_the_names_of_those_that_there_are(cluster: Sender) -> None:
    answer = cluster.post({}, "/api/v1/audit/import/nothing")
    assert (answer.status_code, "cloudtrail" in answer.json()["detail"]) == (404, True)


def test_what_is_over_what_is_kept_of_a_writer_on_a_day_is_refused_and_said(cluster: Sender, settings: Any) -> None:
    settings.INVALID_EVENTS = 1
    assert cluster.post([{"a": 1}], "/api/v1/audit/import/cloudtrail").json()["states"]["dead"] == 1
    answer = cluster.post([{"a": 2}, a_trail_event()], "/api/v1/audit/import/cloudtrail")
    assert (answer.status_code, answer.json()["states"]["refused"], answer.json()["states"]["stored"]) == (201, 1, 1)
    assert set(answer.json()["field_errors"]) == {"0.eventTime", "0.eventName", "0.eventSource"}
    answer = cluster.post([{"a": 3}], "/api/v1/audit/import/cloudtrail")
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")
