"""The sealed log over HTTP: checkpoints, proofs, tiles, verification; and proofs that others than we believe."""

import base64
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any
from uuid import UUID, uuid4

import pymerkle
import pytest
from django.db import connections
from pymerkle.core import _inclusion_path_layout

from audit.api import ledger
from audit.formats import entry, merkle, note, tiles
from audit.formats import times as formats_times
from audit.ledger import keys, seal
from audit.models import Leaf, Record
from tests.audit.conftest import Sender, an_event

API = "/api/v1/audit"


def sealed_record(service: Sender, **changes: Any) -> Record:
    document = an_event(**changes)
    answer = service.post(document)
    assert answer.status_code == 201
    seal.Sealer().once()
    return Record.objects.get(id=answer.json()["event_id"])


def checked(text: str) -> note.TreeHead:
    """A checkpoint whose signatures hold."""
    signed_text, signed = note.verify(text, keys.load().all_verifiers)
    assert {found.verifier.kind for found in signed} == {note.ED25519, note.COSIGNATURE}
    return note.TreeHead.parse(signed_text)


def leaf_from(shown: dict[str, Any]) -> bytes:
    """The leaf hash, from nothing but what the API shows of a record."""
    store = {name: shown.pop(name) for name in ("state", "digest", "received_at", "parked_at", "stored_at")}
    text = json.dumps(shown, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(b"\x00" + text.encode()).hexdigest() == store["digest"]
    members = {**{name: store[name] for name in ("digest", "parked_at", "received_at", "stored_at")}}
    members["event_id"] = shown["event_id"]
    leaf_data = json.dumps(members, sort_keys=True, separators=(",", ":"))
    return merkle.leaf_hash(leaf_data.encode())


def test_a_proof_leads_from_what_the_api_shows_to_the_signed_root(service: Sender) -> None:
    record = sealed_record(service)
    shown = service.get(f"{API}/events/{record.id}").json()
    assert shown["state"] == "sealed"
    answer = service.get(f"{API}/events/{record.id}/proof")
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    proof = note.parse_proof(answer.content.decode())
    head = checked(proof.note)
    merkle.verify_inclusion(leaf_from(shown), proof.index, head.size, proof.hashes, head.root)


def test_a_proof_of_the_site_convinces_an_implementation_that_is_not_ours(service: Sender) -> None:
    sealed_record(service)  # a log of one record has no hashes to swap
    for _ in range(3):
        record = sealed_record(service)
        proof = note.parse_proof(service.get(f"{API}/events/{record.id}/proof").content.decode())
        head = checked(proof.note)
        leaf = leaf_from(service.get(f"{API}/events/{record.id}").json())
        rule, _ = _inclusion_path_layout(proof.index + 1, head.size)
        theirs = pymerkle.InclusionProof("sha256", True, head.size, proof.index + 1, rule, [leaf, *proof.hashes])
        pymerkle.verify_inclusion(leaf, head.root, theirs, index=proof.index + 1, size=head.size)
        wrong = [leaf, *proof.hashes[1:], proof.hashes[0]]
        theirs = pymerkle.InclusionProof("sha256", True, head.size, proof.index + 1, rule, wrong)
        if len(set(wrong)) > 2:
            with pytest.raises(pymerkle.InvalidProof):
                pymerkle.verify_inclusion(leaf, head.root, theirs)


def test_an_unsealed_record_has_no_proof_yet(service: Sender) -> None:
    answer = service.post(an_event())
    refused = service.get(f"{API}/events/{answer.json()['event_id']}/proof")
    assert refused.status_code == 409
    assert refused.json()["type"] == "/problems/not-sealed"
    assert refused["Content-Type"] == "application/problem+json"
    assert refused["Retry-After"] == "1"
    seal.Sealer().once()
    assert service.get(f"{API}/events/{answer.json()['event_id']}/proof").status_code == 200


def test_an_unknown_record_has_no_proof(service: Sender) -> None:
    assert service.get(f"{API}/events/{uuid4()}/proof").status_code == 404


def test_checkpoints_grow_consistently(service: Sender) -> None:
    sealed_record(service)
    old = checked(service.get(f"{API}/checkpoint").content.decode())
    five = {sealed_record(service).id for _ in range(5)}
    new = checked(service.get(f"{API}/checkpoint").content.decode())
    leaves = Leaf.objects.filter(record_id__in=five, index__gte=old.size, index__lt=new.size)
    assert leaves.count() == 5
    answer = service.get(f"{API}/consistency", first=old.size, second=new.size).json()
    proof = [base64.b64decode(text) for text in answer["proof"]]
    merkle.verify_consistency(old.size, new.size, proof, old.root, new.root)


@pytest.mark.parametrize(
    "parameters",
    [{}, {"first": 0}, {"first": 5, "second": 4}, {"first": 1, "second": 10**15}, {"first": "x"}, {"first": "-1"}],
)
def test_consistency_of_what_is_not_there_is_refused(service: Sender, parameters: dict[str, Any]) -> None:
    sealed_record(service)
    answer = service.get(f"{API}/consistency", **parameters)
    assert answer.status_code == 400
    assert answer.json()["field_errors"]


def test_the_history_of_checkpoints_is_paged_by_number(service: Sender) -> None:
    for _ in range(3):
        sealed_record(service)
    first = service.get(f"{API}/checkpoints").json()
    numbers = [row["number"] for row in first["data"]]
    assert numbers == sorted(numbers, reverse=True)
    for row in first["data"][:5]:
        head = checked(row["note"])
        assert (head.size, head.root.hex()) == (row["size"], row["root"])
    older = service.get(f"{API}/checkpoints", before=numbers[1]).json()["data"]
    assert older[0]["number"] == numbers[1] - 1


def test_tiles_lead_to_the_signed_root(service: Sender) -> None:
    while (head := checked_head(service)).size < 300:
        batch = [an_event() for _ in range(100)]
        assert service.post(batch, path=f"{API}/events/batch").status_code == 201
        seal.Sealer().once()
    leaves = b""
    for index in range(head.size // 256):
        tile = service.get(f"{API}/tile/0/{tiles.path(index)}")
        assert len(tile.content) == 8192
        assert "immutable" in tile["Cache-Control"]
        leaves += tile.content
    if rest := head.size % 256:
        leaves += service.get(f"{API}/tile/0/{tiles.path(head.size // 256)}.p/{rest}").content
    hashes = [leaves[at : at + 32] for at in range(0, len(leaves), 32)]
    assert merkle.root(hashes) == head.root
    above = service.get(f"{API}/tile/1/000.p/1").content
    assert above == merkle.root(hashes[:256])


def checked_head(service: Sender) -> note.TreeHead:
    seal.Sealer().once(sign_anyway=True)
    return checked(service.get(f"{API}/checkpoint").content.decode())


def test_entries_hash_to_the_leaves_of_their_tile(service: Sender) -> None:
    record = sealed_record(service)
    head = checked_head(service)
    index = Leaf.objects.get(record_id=record.id).index // 256
    width = min(head.size - index * 256, 256)
    address = tiles.path(index) + (f".p/{width}" if width < 256 else "")
    body = service.get(f"{API}/tile/entries/{address}").content
    entries = []
    while body:
        length = int.from_bytes(body[:2], "big")
        entries.append(body[2 : 2 + length])
        body = body[2 + length :]
    hashes = service.get(f"{API}/tile/0/{address}").content
    assert b"".join(map(merkle.leaf_hash, entries)) == hashes
    assert sum(str(record.id).encode() in found for found in entries) == 1


@pytest.mark.parametrize(
    "address",
    [
        "0/999",
        "0/000.p/256",
        "0/000.p/0",
        "0/000.p/01",
        "0/0",
        "0/x000/000",
        "9/000",
        "63/000",
        "0/000.p/x",
        "entries/999",
    ],
)
def test_tiles_that_are_not_there_are_404(service: Sender, address: str) -> None:
    sealed_record(service)
    answer = service.get(f"{API}/tile/{address}")
    assert answer.status_code == 404
    assert answer.json()["type"] == "/problems/not-found"


def test_the_public_keys_are_shown_newest_first(service: Sender) -> None:
    lines = service.get(f"{API}/checkpoint/keys").content.decode().splitlines()
    assert [note.Verifier.parse(line) for line in lines] == list(keys.load().verifiers)


@pytest.mark.parametrize(
    "path",
    [
        "checkpoint",
        "checkpoints",
        "checkpoint/keys",
        "consistency?first=1",
        "tile/0/000",
        f"events/{UUID(int=4, version=4)}/proof",
    ],
)
def test_the_log_is_read_with_the_scope_read(writer: Sender, path: str) -> None:
    assert writer.get(f"{API}/{path}").status_code == 403
    assert writer.client.get(f"{API}/{path}").status_code == 401


def test_a_correlation_is_verified_on_demand(service: Sender) -> None:
    record = sealed_record(service)
    for _ in range(3):
        sealed_record(service, correlation_id=record.correlation_id)
    found = service.post({"correlation_id": record.correlation_id}, path=f"{API}/verify-chain").json()
    assert found["is_valid"] is True
    assert (found["total_events"], found["verified_events"], found["tampered_events"]) == (4, 4, [])
    assert found["verdict"] == "VERIFIED"
    assert any("removed" in text for text in found["not_covered"])


def test_what_takes_too_long_to_verify_is_not_called_valid(service: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    record = sealed_record(service)
    for _ in range(2):
        sealed_record(service, correlation_id=record.correlation_id)
    monkeypatch.setattr("audit.ledger.verify.correlation.CHUNK", 2)
    monkeypatch.setattr("audit.api.ledger.VERIFY_S", -1.0)
    found = service.post({"correlation_id": record.correlation_id}, path=f"{API}/verify-chain").json()
    assert (found["is_valid"], found["verdict"], found["total_events"]) == (False, "NOT COVERED", 2)
    assert found["message"].startswith("The time was over after 2 events")
    assert any("nothing is said of the later ones" in text for text in found["not_covered"])


def test_so_many_verifications_of_a_process_run_at_once_and_no_more(
    service: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = sealed_record(service)
    monkeypatch.setattr("audit.api.ledger.TURN_S", 0.01)
    with ExitStack() as others:
        for _ in range(ledger.VERIFYING_MAX):
            others.enter_context(ledger._turn())
        answer = service.post({"correlation_id": record.correlation_id}, path=f"{API}/verify-chain")
        assert (answer.status_code, answer.json()["type"]) == (429, "/problems/rate-limited")
        assert 0 < int(answer["Retry-After"]) <= ledger.VERIFY_S + 1
    answer = service.post({"correlation_id": record.correlation_id}, path=f"{API}/verify-chain")
    assert answer.status_code == 200 and answer.json()["is_valid"] is True


def test_nothing_is_valid_where_nothing_is_known(service: Sender) -> None:
    found = service.post({"correlation_id": "nobody-ever-sent-this"}, path=f"{API}/verify-chain").json()
    assert found["is_valid"] is False
    assert found["verdict"] == "NOT COVERED"
    assert found["message"].startswith("No event has this correlation id")


def test_what_is_merely_not_sealed_yet_is_told_and_not_called_tampered(service: Sender) -> None:
    record = sealed_record(service)
    assert service.post(an_event(correlation_id=record.correlation_id)).status_code == 201
    found = service.post({"correlation_id": record.correlation_id}, path=f"{API}/verify-chain").json()
    assert found["is_valid"] is True
    assert (found["total_events"], found["verified_events"], found["unsealed_events"]) == (2, 1, 1)
    assert found["message"].startswith("1 of 2 events are not sealed yet")


def test_a_verification_waits_a_moment_for_the_sealer(service: Sender, settings: Any) -> None:
    settings.SEAL_WAIT_MS = 20_000
    correlation = an_event()["correlation_id"]
    assert service.post(an_event(correlation_id=correlation)).status_code == 201

    def ask() -> Any:
        try:
            return service.post({"correlation_id": correlation}, path=f"{API}/verify-chain")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as thread:
        answer = thread.submit(ask)
        while not answer.done():
            seal.Sealer().once()
        found = answer.result().json()
    assert (found["is_valid"], found["verified_events"], found["unsealed_events"]) == (True, 1, 0)


@pytest.mark.parametrize(
    "body", [{}, [], *({"correlation_id": text} for text in ("", "x" * 256, 5, "a\x00", "\ud800"))]
)
def test_a_verification_of_nothing_is_refused(service: Sender, body: Any) -> None:
    answer = service.post(body, path=f"{API}/verify-chain")
    assert answer.status_code == 400
    assert "correlation_id" in answer.json()["field_errors"]


def test_a_verification_on_demand_leaves_a_record(service: Sender) -> None:
    record = sealed_record(service)
    service.post({"correlation_id": record.correlation_id}, path=f"{API}/verify-chain")
    asked = Record.objects.filter(event_type="audit.verification.ended", actor_id=service.name).latest(
        "event_timestamp"
    )
    assert asked.event_data["verified_correlation"] == record.correlation_id


def test_the_leaf_in_sql_is_the_leaf_in_python(service: Sender) -> None:
    for changes in ({}, {"event_data": {"ä": "ö", "n": 1.5}}, {"event_timestamp": "2001-01-01T00:00:00.000001Z"}):
        record = sealed_record(service, **changes)
        leaf = Leaf.objects.get(record_id=record.id)
        times = (record.received_at, record.parked_at, record.stored_at)
        parts = [moment and formats_times.timestamp_text(moment) for moment in times]
        assert entry.leaf(bytes(record.digest), str(record.id), *parts) == bytes(leaf.leaf_hash)
        data = json.loads(entry.entry(bytes(record.digest), str(record.id), *parts))
        assert data["received_at"] == formats_times.timestamp_text(record.received_at)
        assert UUID(data["event_id"]) == record.id


@pytest.mark.parametrize("asked", ["consistency?first=1&first=2", "checkpoints?before=1&before=2"])
def test_a_parameter_that_stands_twice_is_refused(asked: str) -> None:
    answer = Sender("read").get(f"{API}/{asked}")
    assert answer.status_code == 400
    assert [*answer.json()["field_errors"]] == [asked.partition("?")[2].partition("=")[0]]


def test_no_cache_keeps_an_answer_of_the_api() -> None:
    reader = Sender("read")
    for path in ("events", "events?limit=1000", "checkpoints", "consistency", "nothing"):
        assert "no-store" in reader.get(f"{API}/{path}").get("Cache-Control", ""), path
