"""Each kind of target is spoken to in its own words, and what it answers is taken for what it means."""

import gzip
import json
from typing import Any

import pytest

from audit.streams import stream as streaming
from audit.streams.stream import GaveUp
from tests.audit.streams.conftest import Answer, FarEnd, Scene


class Elastic:
    """What `_bulk` answers: each record is created once; `errors` names what it says of ids."""

    def __init__(self) -> None:
        self.there: dict[str, dict[str, Any]] = {}
        self.refuses = b"poison"
        self.busy = 0

    def __call__(self, path: str, body: bytes) -> Answer:
        lines = body.splitlines()
        items = [self._create(json.loads(lines[n]), lines[n + 1]) for n in range(0, len(lines), 2)]
        errors = any(item["create"]["status"] >= 300 for item in items)
        return Answer(200, json.dumps({"errors": errors, "items": items}).encode())

    def _create(self, action: dict[str, Any], body: bytes) -> dict[str, Any]:
        key = action["create"]["_id"]
        if self.busy:
            self.busy -= 1
            return {"create": {"status": 429, "error": {"type": "es_rejected_execution_exception", "reason": "full"}}}
        if self.refuses in body:
            return {"create": {"status": 400, "error": {"type": "mapper_parsing_exception", "reason": "no"}}}
        if key in self.there:
            return {"create": {"status": 409, "error": {"type": "version_conflict_engine_exception", "reason": "x"}}}
        self.there[key] = json.loads(body)
        return {"create": {"status": 201}}

    def leaves(self) -> list[int]:
        return [document["leaf_index"] for document in self.there.values()]


@pytest.fixture
def elastic(far_end: FarEnd, scene: Scene) -> Elastic:
    server = Elastic()
    far_end.usual = server
    scene.has(type="elastic", url=far_end.url, index="audit")
    return server


def test_elastic_has_each_record_once_under_its_id_with_a_time(scene: Scene, elastic: Elastic, far_end: FarEnd) -> None:
    scene.records(5)
    far_end.answers = [Answer(cut=True)]
    scene.once()
    assert elastic.leaves() == [*range(scene.first, scene.row().position)]
    path, headers, body = far_end.asked[0]
    assert path.startswith("/_bulk?") and headers["Content-Type"] == "application/x-ndjson"
    first = json.loads(body.splitlines()[1])
    assert json.loads(body.splitlines()[0]) == {"create": {"_index": "audit", "_id": first["event_id"]}}
    assert first["@timestamp"] == first["event_timestamp"]


def test_what_elastic_has_already_counts_as_taken(scene: Scene, elastic: Elastic, far_end: FarEnd) -> None:
    """A batch that it took, and whose answer never came."""
    scene.records(4)
    elastic.busy = 0

    def takes_and_hangs_up(path: str, body: bytes) -> Answer:
        far_end.usual = elastic
        elastic(path, body)
        return Answer(cut=True)

    far_end.usual = takes_and_hangs_up
    scene.once()
    assert elastic.leaves() == [*range(scene.first, scene.row().position)]
    assert scene.row().refused == 0


def test_a_record_that_elastic_refuses_is_there_as_a_reference(scene: Scene, elastic: Elastic) -> None:
    scene.records(2)
    [poison] = scene.records(1, event_data={"text": "poison"})
    scene.records(2)
    scene.once()
    assert sorted(elastic.leaves()) == [*range(scene.first, scene.row().position)]
    reference = next(document for document in elastic.there.values() if document["leaf_index"] == poison)
    assert reference["left_out"] == "mapper_parsing_exception: no"
    assert scene.row().refused == 1


def test_elastic_that_is_busy_with_some_records_is_asked_again(scene: Scene, elastic: Elastic) -> None:
    scene.records(4)
    elastic.busy = 2
    scene.once()
    assert sorted(elastic.leaves()) == [*range(scene.first, scene.row().position)]


def test_what_is_no_answer_of_bulk_is_not_believed(scene: Scene, elastic: Elastic, far_end: FarEnd) -> None:
    scene.records(2)
    far_end.usual = lambda path, body: Answer(200, b'{"items": []}')
    with pytest.raises(GaveUp, match="answered of 0 records where"):
        scene.once()
    far_end.usual = lambda path, body: Answer(200, b"<html>")
    with pytest.raises(GaveUp, match="what is no answer of _bulk"):
        scene.once()
    assert scene.row().position == scene.first


class Splunk:
    """The collector: a batch is indexed some polls after it was taken."""

    def __init__(self) -> None:
        self.indexed: list[dict[str, Any]] = []
        self.waiting: dict[int, bytes] = {}
        self.polls = 0
        self.forgets = 0
        self.refuses = b"poison"

    def __call__(self, path: str, body: bytes) -> Answer:
        if path.startswith("/services/collector/ack?channel="):
            return Answer(200, json.dumps({"acks": self._acks(json.loads(body)["acks"])}).encode())
        for number, line in enumerate(body.splitlines()):
            if self.refuses in line:
                said = {"text": "Invalid data format", "code": 6, "invalid-event-number": number}
                return Answer(400, json.dumps(said).encode())
        key = len(self.waiting)
        self.waiting[key] = body
        return Answer(200, json.dumps({"text": "Success", "code": 0, "ackId": key}).encode())

    def _acks(self, asked: list[int]) -> dict[str, bool]:
        self.polls += 1
        if self.polls % 2:
            return {str(key): False for key in asked}
        if self.forgets:
            self.forgets -= 1
            return {str(key): False for key in asked}
        for key in asked:
            self.indexed += [json.loads(line) for line in self.waiting[key].splitlines()]
        return {str(key): True for key in asked}

    def leaves(self) -> list[int]:
        return [document["event"]["leaf_index"] for document in self.indexed]


@pytest.fixture
def splunk(far_end: FarEnd, scene: Scene, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Splunk:
    monkeypatch.setattr("audit.streams.targets.splunk.POLL_S", 0.01)
    (tmp_path / "token").write_text("t0ken", encoding="utf-8")
    server = Splunk()
    far_end.usual = server
    scene.has(type="splunk", url=far_end.url, token_file=str(tmp_path / "token"), index="main", batch_records=3)
    return server


def test_splunk_is_waited_for_until_it_has_indexed_a_batch(scene: Scene, splunk: Splunk, far_end: FarEnd) -> None:
    scene.records(5)
    scene.once()
    assert splunk.leaves() == [*range(scene.first, scene.row().position)]
    path, headers, _ = far_end.asked[0]
    assert path == "/services/collector/event"
    assert headers["Authorization"] == "Splunk t0ken" and len(headers["X-Splunk-Request-Channel"]) == 36
    first = splunk.indexed[0]
    assert (first["index"], first["sourcetype"]) == ("main", "auditsite:record")
    assert isinstance(first["time"], float) and first["event"]["state"] == "sealed"


def test_a_batch_that_splunk_never_acknowledges_is_sent_again(
    scene: Scene, splunk: Splunk, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.records(2)
    splunk.forgets = 10**6
    monkeypatch.setattr(streaming, "TRIES", 2)
    monkeypatch.setattr("audit.streams.targets.splunk.POLL_S", 0.4)
    text = scene.file.read_text(encoding="utf-8")
    scene.file.write_text(text + "acknowledgement_s = 1\n", encoding="utf-8")
    with pytest.raises(GaveUp, match="did not acknowledge a batch within 1 s"):
        scene.once()
    assert scene.row().position == scene.first
    splunk.forgets = 0
    scene.file.write_text(text, encoding="utf-8")  # however long the acknowledgement takes now
    scene.once()
    assert splunk.leaves() == [*range(scene.first, scene.row().position)]


def test_a_record_that_splunk_names_is_sent_as_a_reference(scene: Scene, splunk: Splunk) -> None:
    scene.records(1)
    [poison] = scene.records(1, event_data={"text": "poison"})
    scene.records(1)
    scene.once()
    assert splunk.leaves() == [*range(scene.first, scene.row().position)]
    assert "left_out" in splunk.indexed[poison - scene.first]["event"]


def test_a_token_without_acknowledgement_is_said_to_be_so(scene: Scene, splunk: Splunk, far_end: FarEnd) -> None:
    scene.records(1)
    far_end.usual = lambda path, body: Answer(200, b'{"text":"Success","code":0}')
    with pytest.raises(GaveUp, match="gives no acknowledgement: switch it on"):
        scene.once()
    text = scene.file.read_text(encoding="utf-8")
    scene.file.write_text(text + "acknowledgement = false\n", encoding="utf-8")
    scene.once()
    assert scene.row().position > scene.first


def test_a_busy_splunk_is_asked_again(scene: Scene, splunk: Splunk, far_end: FarEnd) -> None:
    scene.records(2)
    far_end.answers = [Answer(503, b'{"text":"Server is busy","code":9}')]
    scene.once()
    assert splunk.leaves() == [*range(scene.first, scene.row().position)]


def test_a_batch_can_be_one_json_array_and_compressed(scene: Scene, far_end: FarEnd) -> None:
    scene.has(type="http", url=far_end.url + "/in", format="json", gzip=True)
    leaves = scene.records(3)
    scene.once()
    path, headers, body = far_end.asked[0]
    assert (path, headers["Content-Type"], headers["Content-Encoding"]) == ("/in", "application/json", "gzip")
    assert [line["leaf_index"] for line in json.loads(gzip.decompress(body))][:3] == leaves


def test_a_redirect_is_not_followed(scene: Scene, far_end: FarEnd) -> None:
    scene.has(type="http", url=far_end.url)
    scene.records(1)
    far_end.usual = lambda path, body: Answer(302, headers=(("Location", far_end.url + "/elsewhere"),))
    with pytest.raises(GaveUp, match="answered 302"):
        scene.once()
    assert {path for path, _, _ in far_end.asked} == {"/"} or {path for path, _, _ in far_end.asked} == {""}
