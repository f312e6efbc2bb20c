"""`GET export`: a few records at once, each verified, all of it signed."""

import base64
import json
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from audit.evidence import redaction
from audit.formats.canonical import canonical
from audit.models import Record, RedactionRule
from audit.search import query
from tests.audit.conftest import Sender
from tests.audit.evidence.conftest import PINNED, sealed
from tests.auditor import verify

EXPORT = "/api/v1/audit/export"


@pytest.fixture
def checked(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[[bytes], tuple[int, str]]:
    def checked(body: bytes) -> tuple[int, str]:
        file = tmp_path / "export.json"
        file.write_bytes(body)
        status = verify.main(["export", str(file), *PINNED[2:]])
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    return checked


def test_a_few_records_are_answered_verified_and_signed(checked: Any) -> None:
    word = sealed(3, event_data={"n": 1.5, "text": "Zürich", "deep": [[{"": None}]]})
    exporter = Sender("export")
    answer = exporter.get(EXPORT, q=f"correlation:{word}", event_outcome="success")
    assert answer.status_code == 200, answer.content
    document = answer.json()
    about, verification = document["export_metadata"], document["verification"]
    assert (about["total_events"], about["exported_by"]) == (3, exporter.name)
    assert about["query_filters"] == {"q": f"correlation:{word}", "event_outcome": "success"}
    assert (
        verification["valid_events"],
        verification["total_events_verified"],
        verification["integrity_percentage"],
    ) == (3, 3, 100.0)
    assert [event["verified"] for event in document["events"]] == [True] * 3
    status, printed = checked(answer.content)
    assert status == 0, printed
    assert "3 events, signed by a key that you gave" in printed
    (act,) = Record.objects.filter(correlation_id=f"export-{about['export_id']}")
    assert act.event_type == "audit.export.answered"
    assert act.event_data["digest"] in document["signature"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda document: document["events"].pop(), "is not the one that was signed"),
        (lambda document: document["verification"].update(valid_events=7), "is not the one that was signed"),
        (lambda document: document["events"][0].update(actor_id="eve"), "its content was changed"),
        (lambda document: document["export_metadata"].update(query=""), "is not the one that was signed"),
    ],
)
def test_an_answer_that_was_changed_is_refused(checked: Any, change: Any, words: str) -> None:
    document = Sender("export").get(EXPORT, q=f"correlation:{sealed(2)}").json()
    change(document)
    status, printed = checked(json.dumps(document).encode())
    assert status == 1
    assert words in printed


def test_more_than_are_exported_at_once_are_pointed_to_bundles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.evidence.extract.MAX_RECORDS", 2)
    answer = Sender("export").get(EXPORT, q=f"correlation:{sealed(3)}")
    assert answer.status_code == 413
    assert answer.json()["type"] == "/problems/too-many"
    assert "POST exports" in answer.json()["detail"]


def test_it_is_redacted_as_bundles_are(checked: Any) -> None:
    kind = f"redaction.t{secrets.token_hex(4)}"
    rule = RedactionRule(name=f"r-{secrets.token_hex(4)}", path="actor_ip", event_type=kind, method="mask", reason="x")
    redaction.save_rule(rule, by="tests")
    try:
        word = sealed(2, event_type=kind, actor_ip="192.0.2.7")
        answer = Sender("export").get(EXPORT, q=f"correlation:{word}")
        assert "192.0.2.7" not in answer.content.decode()
        assert answer.json()["export_metadata"]["redaction"]["records"] == 2
        assert answer.json()["verification"]["valid_events"] == 2
        status, printed = checked(answer.content)
        assert status == 0, printed
        assert "what remains of the content of 2 redacted events" in printed
        refused = Sender("export").get(EXPORT, q=f"correlation:{word}", unredacted="true")
        assert refused.status_code == 400
        whole = Sender("export", "unredacted").get(EXPORT, q=f"correlation:{word}", unredacted="true")
        assert whole.json()["events"][0]["actor_ip"] == "192.0.2.7"
    finally:
        rule.active = False
        redaction.save_rule(rule, by="tests")


@pytest.mark.parametrize("asked", [{"after": "5"}, {"unredacted": "yes"}, {"q": "nope:1"}, {"q": "a\x00"}, {"x": "1"}])
def test_what_cannot_be_asked_is_refused_by_name(asked: dict[str, str]) -> None:
    answer = Sender("export").get(EXPORT, **asked)
    assert answer.status_code == 400
    assert set(answer.json()["field_errors"]) == set(asked)


def test_it_takes_the_scope_export_and_keeps_to_what_the_key_may_see() -> None:
    word = sealed(1)
    assert Sender("read").get(EXPORT, q=f"correlation:{word}").status_code == 403
    narrow = Sender("export")
    narrow.writer.reads_writers = ["nobody-at-all"]
    narrow.writer.save()
    assert narrow.get(EXPORT, q=f"correlation:{word}").json()["events"] == []
    assert query.MAX_LIMIT == 1000


def test_clients_of_data_storage_read_the_answer_page_by_page(checked: Any) -> None:
    word = sealed(3)
    exporter = Sender("export", "write", "hold")
    asked = {"correlation_id": word, "format": "json", "redact_pii": "false", "include_detached_signature": "true"}
    asked |= {"start_time": "2000-01-01T00:00:00Z", "end_time": "2100-01-01T00:00:00Z"}
    exporter.post({"correlation_id": word, "reason": "case 7"}, path="/api/v1/audit/legal-hold")
    pages = [exporter.get(EXPORT, **asked, limit="2", offset=str(offset)) for offset in (0, 2)]
    documents = [page.json() for page in pages]
    assert [len(document["events"]) for document in documents] == [2, 1]
    for page, document in zip(pages, documents, strict=True):
        about, found = document["export_metadata"], document["hash_chain_verification"]
        assert (about["export_format"], about["query_filters"]["limit"]) == ("json", 2)
        assert (found["broken_chain_events"], found["tampered_event_ids"]) == (0, [])
        assert found["chain_integrity_percentage"] == 100.0
        assert {(event["hash_chain_valid"], event["legal_hold"]) for event in document["events"]} == {(True, True)}
        assert about["signature"] in document["detached_signature"]
        assert base64.b64decode(about["signature"]).startswith(b"auditsite/export-events/v1\n")
        status, printed = checked(page.content)
        assert status == 0, printed


def test_an_export_is_signed_with_a_certificate_where_there_is_one(settings: Any, tmp_path: Path) -> None:
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "audit")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    certificate = builder.sign(key, SHA256())
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    settings.EXPORT_CERTIFICATE_FILE = tmp_path / "signer.pem"
    settings.EXPORT_CERTIFICATE_FILE.write_bytes(secret + certificate.public_bytes(Encoding.PEM))
    document = Sender("export").get(EXPORT, correlation_id=sealed(2)).json()
    about = document["export_metadata"]
    assert about["signature_algorithm"] == "SHA256withRSA"
    assert about["certificate_fingerprint"].replace(":", "") == certificate.fingerprint(SHA256()).hex()
    body = canonical({name: document[name] for name in ("events", "hash_chain_verification")})
    key.public_key().verify(base64.b64decode(about["signature"]), body, PKCS1v15(), SHA256())
    settings.EXPORT_CERTIFICATE_FILE.write_bytes(secret)
    assert Sender("export").get(EXPORT, correlation_id="x").status_code == 500


def test_what_is_personal_is_masked_on_demand() -> None:
    word = sealed(1, event_data={"user": {"email": "ann@example.com"}, "source_ip": "192.0.2.7", "count": 1})
    exporter = Sender("export")
    (event,) = exporter.get(EXPORT, correlation_id=word, redact_pii="true").json()["events"]
    assert "ann" not in json.dumps(event) and "192.0.2.7" not in json.dumps(event)
    assert (event["event_data"]["count"], event["hash_chain_valid"]) == (1, True)
    (event,) = exporter.get(EXPORT, correlation_id=word, redact_pii="false").json()["events"]
    assert event["event_data"]["user"]["email"] == "ann@example.com"


def test_a_word_of_no_field_is_answered_unless_it_asks_by_what_is_redacted(rules: Any) -> None:
    word = sealed(1, event_data={"email": "ann@example.com"})
    exporter = Sender("export")
    answer = exporter.get(EXPORT, q=word, redact_pii="true")
    assert answer.status_code == 200, answer.content
    assert len(answer.json()["events"]) == 1 and "ann@" not in answer.content.decode()
    name = rules("resource_id", event_type=f"redaction.t{secrets.token_hex(4)}").name
    refused = exporter.get(EXPORT, q=word)
    assert refused.status_code == 400
    assert name in refused.json()["field_errors"]["q"] and "name the field" in refused.json()["field_errors"]["q"]


@pytest.mark.parametrize(
    ("parameters", "status"),
    [
        ({"format": "csv"}, 400),
        ({"limit": "0"}, 400),
        ({"limit": "10001"}, 413),
        ({"redact_pii": "yes"}, 400),
        ({"start_time": "7d", "since": "7d"}, 400),
        ({"after": "x"}, 400),
    ],
)
def test_a_parameter_that_makes_no_sense_is_refused(parameters: dict[str, str], status: int) -> None:
    answer = Sender("export").get(EXPORT, **parameters)
    assert answer.status_code == status, answer.content
