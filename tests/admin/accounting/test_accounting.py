"""The page of the account: the equation, each writer's day, and what was refused."""

import html
import re
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse

from audit.admin.accounting import printable
from audit.ingest import rejection_counters, rejections
from audit.ingest.rejections import Refusal
from audit.models import Loss, Passage, Record
from tests.admin.accounting.conftest import a_line, a_sample
from tests.audit.completeness.conftest import follow
from tests.audit.conftest import Sender

pytestmark = pytest.mark.usefixtures("own_queue")


PAGE = "/admin/audit/account/"
REJECTED = "/admin/audit/rejectedsample/"


def page_of(client: Client, **asked: str) -> str:
    return html.unescape(client.get(PAGE, asked).content.decode())


def test_the_page_writes_the_equation_out_and_names_each_writer(auditor: Client) -> None:
    writer = a_line(direct=5, came=4, drained=0, here=3, dead=1, rejected=2, quarantined=1)
    page = page_of(auditor, writer=writer)
    assert "11 received = 5 stored + 2 parked + 1 dead + 1 quarantined + 0 discarded + 2 rejected" in page
    assert writer in page
    assert "unknown field" in page
    assert "<svg" in page


def test_what_was_rejected_adds_up_and_what_was_kept_for_a_person_stands_apart(auditor: Client) -> None:
    writer = a_line(direct=5, came=2, here=2, dead=2, rejected=3)
    rejection_counters.count(writer, [Refusal(rejections.KEPT, 2)])
    rejection_counters.gather()
    page = page_of(auditor, writer=writer)
    rejected, _, kept = page.partition("<h2>Rejected events</h2>")[2].partition("<h2>Not among the rejected</h2>")
    assert "By writer and reason: 3 rejected" in rejected
    assert rejections.KEPT not in rejected
    assert f"events {rejections.KEPT}" in kept
    assert "among parked or dead above" in kept
    columns = re.findall(r'<th scope="col">([^<]+)</th>', page)[:5]
    assert columns == ["writer, day", "state", "lost", "unexplained", "received"]


def test_a_loss_is_told_in_words(auditor: Client) -> None:
    page = page_of(auditor, writer=a_line(came=1000))
    assert "1,000 LOST" in page
    assert "Redis lost them" in page


def test_what_is_not_known_is_said_not_to_be(auditor: Client) -> None:
    sender = Sender("write")
    from tests.audit.conftest import an_event

    sender.post(an_event())
    page = page_of(auditor, writer=sender.name)
    assert "in progress" in page
    assert "1 record is stored and not read yet" in page
    follow()


@pytest.mark.parametrize("asked", [{"first": "x"}, {"last": "9" * 400}, {"first": "2026-02-02", "last": "2026-01-01"}])
def test_days_that_are_none_are_answered_with_what_is_wrong(auditor: Client, asked: dict[str, str]) -> None:
    assert "the last week is shown" in page_of(auditor, **asked)


def test_days_are_chosen(auditor: Client) -> None:
    writer, today = a_line(direct=1), datetime.now(UTC).date()
    before = str(today - timedelta(days=3)), str(today - timedelta(days=2))
    assert "Nothing was received" in page_of(auditor, writer=writer, first=before[0], last=before[1])
    assert page_of(auditor, writer="\x00<b>").count("Nothing was received") == 1


def test_operators_and_auditors_see_it_and_others_do_not(
    auditor: Client, operator: Client, administrator: Client, outsider: Client
) -> None:
    sample = a_sample()
    for path in (PAGE, REJECTED, f"{REJECTED}{sample.pk}/change/"):
        assert [client.get(path).status_code for client in (auditor, operator)] == [200, 200]
        assert [client.get(path).status_code for client in (administrator, outsider)] == [403, 403]


def test_a_rejected_event_is_shown_harmless(auditor: Client) -> None:
    sample = a_sample(b'\x00\x1b[2J<script>alert(1)</script>\xff\xe2\x80\xae"')
    page = auditor.get(f"{REJECTED}{sample.pk}/change/").content.decode()
    assert "\\x00\\x1b[2J&lt;script&gt;alert(1)&lt;/script&gt;\\xff\\u202e" in page
    assert "<script>alert" not in page and "\x1b" not in page
    listed = auditor.get(REJECTED, {"q": sample.writer, "reason": sample.reason}).content.decode()
    assert sample.pk in listed


def test_a_sample_that_is_gone_is_404(auditor: Client) -> None:
    for key in ("²", "0" * 32, "%00", "x"):
        assert auditor.get(f"{REJECTED}{key}/change/").status_code in (302, 404)


def test_the_account_is_linked_from_the_start_page_and_from_completeness(auditor: Client) -> None:
    for path in ("/admin/", "/admin/audit/gap/"):
        assert f'href="{reverse("admin:audit_account_changelist")}"' in auditor.get(path).content.decode()


def test_bytes_are_written_out_where_they_are_not_for_reading() -> None:
    assert printable("ä\n".encode() + b"\x07") == "ä\n\\x07"
    assert rejection_counters.SAMPLE_BYTES == 2048


def explained(client: Client, writer: str, text: str, day: str = "") -> str:
    fields = {"day": day or str(datetime.now(UTC).date()), "writer": writer, "explanation": text}
    return html.unescape(client.post(f"{PAGE}explain/", fields, follow=True).content.decode())


def test_a_loss_is_explained_beside_it_and_stays_a_loss(auditor: Client, operator: Client) -> None:
    writer = a_line(came=12)
    assert "No explanation yet." in page_of(auditor, writer=writer)
    page = explained(operator, writer, "the disk of Redis <b>burnt</b>")
    assert "The loss remains on record" in page
    record = Record.objects.get(event_type="audit.account.explained", event_data__writer=writer)
    assert (record.event_data["lost"], record.event_data["explanation"]) == (12, "the disk of Redis <b>burnt</b>")
    shown = auditor.get(PAGE, {"writer": writer}).content.decode()
    assert f"Explained by {record.actor_id}: the disk of Redis &lt;b&gt;burnt" in shown
    assert "12 LOST" in shown
    assert "Redis lost them" in shown
    explained(auditor, writer, "no: the network")
    assert "the network" in page_of(auditor, writer=writer)
    assert Loss.objects.get(writer=writer).lost == 12


def test_a_loss_that_grew_is_said_to_have_grown(operator: Client, auditor: Client) -> None:
    writer = a_line(came=3)
    explained(operator, writer, "a restart")
    Passage.objects.filter(writer=writer).update(came=5)
    assert "when 3 were lost: 5 are now" in page_of(auditor, writer=writer)


def test_what_is_not_lost_or_not_said_is_not_explained(auditor: Client, administrator: Client) -> None:
    writer, lost = a_line(direct=5), a_line(came=1)
    assert "shows no loss" in explained(auditor, writer, "nothing at all")
    assert "shows no loss" in explained(auditor, "\x00", "nothing at all")
    assert "needs words" in explained(auditor, lost, " \x00 ")
    assert auditor.post(f"{PAGE}explain/", {"day": "x"}).status_code == 404
    assert auditor.get(f"{PAGE}explain/").status_code == 405
    assert administrator.post(f"{PAGE}explain/", {"day": "2026-01-01"}).status_code == 403
    assert not Loss.objects.filter(writer__in=(writer, lost)).exists()
