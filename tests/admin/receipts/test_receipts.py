"""The page that answers for receipts, and the list of promises that were broken."""

import html
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client, override_settings
from django.urls import reverse

from audit.admin import receipts
from audit.ingest.record import store
from audit.ledger import seal
from audit.models import Record
from tests.admin.receipts.conftest import a_broken_promise, some_receipts
from tests.audit.receipts.conftest import an_accepted, receipt_for

VERIFY = "/admin/audit/brokenpromise/verify/"
LIST = "/admin/audit/brokenpromise/"


def page(client: Client, **sent: Any) -> str:
    response = client.post(VERIFY, sent)
    assert response.status_code == 200
    return html.unescape(response.content.decode())


def test_the_page_begins_with_the_sentence_and_shows_what_is_broken_first(auditor: Client) -> None:
    shown = page(auditor, text=some_receipts().replace("\n", "\r\n"))
    assert "The store broke its promise: 1 broken promise, 1 not ours, 1 pending, 1 parked, 1 stored, 1 sealed" in shown
    rows = shown[shown.index("<tbody>") :]
    places = [rows.index(f"> {state}</span>") for state in ("broken promise", "not ours", "pending", "sealed")]
    assert places == sorted(places)
    assert 'aria-label="events by state: broken promise 1' in shown


def test_a_sealed_event_is_linked_with_its_proof(auditor: Client, operator: Client) -> None:
    event = an_accepted()
    store([event], timeout_s=20)
    seal.Sealer().once(from_start=True)
    links = [reverse(f"admin:audit_record_{name}", args=[event.id]) for name in ("change", "proof")]
    for client, may in ((auditor, True), (operator, False)):
        shown = page(client, text=receipt_for(event))
        assert "No promise is broken: 1 sealed, of 1 receipt." in shown
        assert [f'href="{link}"' in shown for link in links] == [may, may]


def test_a_file_of_answers_is_read(auditor: Client) -> None:
    lines = "".join(json.dumps({"receipt": receipt_for(an_accepted())}) + "\n" for _ in range(700))
    shown = page(auditor, file=SimpleUploadedFile("answers.jsonl", lines.encode()))
    assert "700 pending, of 700 receipts" in shown
    assert "200 more are counted above" in shown


def test_who_asks_is_recorded_and_what_was_sent_is_not(auditor: Client) -> None:
    text = receipt_for(an_accepted())
    page(auditor, text=text)
    noted = Record.objects.filter(event_type="audit.receipts.verified").latest("event_timestamp")
    assert noted.actor_id.startswith("auditor-")
    assert set(noted.event_data) == {"receipts", "sha256"}


@pytest.mark.parametrize("content", [b"\xff\xfe", b"x" * (receipts.MAX_BYTES + 1), b"{}\n" * 20_001])
def test_a_file_that_cannot_be_verified_is_refused_in_words(auditor: Client, content: bytes) -> None:
    shown = page(auditor, file=SimpleUploadedFile("f", content))
    assert "not verified" in shown
    assert "not UTF-8" in shown or "in parts" in shown


def test_nothing_is_not_called_kept(auditor: Client) -> None:
    assert "There is no receipt here" in page(auditor, text="")


def test_without_a_key_of_receipts_the_page_says_so(auditor: Client) -> None:
    with override_settings(RECEIPT_KEY=""):
        assert "receiptkey create" in page(auditor, text="x")


def test_who_may_not_verify_is_refused(administrator: Client, outsider: Client) -> None:
    for client in (administrator, outsider):
        assert client.get(VERIFY).status_code == 403
        assert client.post(VERIFY, {"text": "x"}).status_code == 403


def test_a_broken_promise_is_listed_and_explained_and_that_is_recorded(auditor: Client) -> None:
    found = a_broken_promise()
    assert str(found.event_id) in auditor.get(LIST, {"q": found.writer, "state": "open"}).content.decode()
    detail = reverse("admin:audit_brokenpromise_change", args=[found.pk])
    assert found.why in html.unescape(auditor.get(detail).content.decode())
    act = reverse("admin:audit_brokenpromise_act", args=[found.pk])
    auditor.post(act, {"act": "explain", "explanation": "restored from Tuesday"})
    found.refresh_from_db()
    assert found.state == "explained"
    recorded = Record.objects.get(event_type="audit.promise.explained", event_data__event_id=str(found.event_id))
    assert recorded.event_data["explanation"] == "restored from Tuesday"
    assert auditor.get(LIST, {"q": f"{datetime.now(UTC)}"}).status_code == 200


def test_the_completeness_page_leads_there(auditor: Client, operator: Client) -> None:
    for client in (auditor, operator):
        assert VERIFY in client.get("/admin/audit/gap/").content.decode()
