"""The pages of the daily review: a calendar, the exceptions of a day, the signature."""

import html
import re
import secrets
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from audit.admin import review
from audit.models import AuditorScope, MissedReview, Record, Rejection, Review
from tests.admin.conftest import logged_in, person
from tests.audit.review.conftest import a_day, a_quiet_day, failed, happened

LIST = "/admin/audit/review/"


@pytest.fixture
def officer() -> Client:
    return logged_in(person("compliance officer"))


def address(day: Any) -> str:
    return reverse("admin:audit_review_day", args=[day])


def page(client: Client, day: Any) -> str:
    return html.unescape(client.get(address(day)).content.decode())


def sign(client: Client, day: Any, note: str = "all looked at", **fields: str) -> str:
    """As the form on the page does it; with lines left where `fields` do not say otherwise."""
    hidden = dict(re.findall(r'<input type="hidden" name="(digest|signatures)" value="(\w*)">', page(client, day)))
    sent = hidden | {"note": note} | (fields or {"partly": "yes"})
    answer = client.post(reverse("admin:audit_review_sign", args=[day]), sent, follow=True)
    return html.unescape(answer.content.decode())


def a_missed_day() -> MissedReview:
    day, now = a_day(), datetime.now(UTC)
    return MissedReview.objects.get_or_create(day=day, defaults={"due_at": now, "found_at": now})[0]


def test_an_officer_signs_a_day_and_another_countersigns(officer: Client) -> None:
    day = a_day()
    failed(day, 2)
    shown = page(officer, day)
    assert "payments.card.refused, tests" in shown
    assert f"outcome%3Afailure+type%3Apayments.card.refused+writer%3Atests+on%3A{day}" in shown
    assert f"The review of {day} is signed, and recorded." in sign(officer, day)
    again = sign(officer, day, "once more")
    assert "(signed again by the same person)" in again and "(countersigned)" not in again
    other = logged_in(person("compliance officer"))
    assert "(countersigned)" in sign(other, day, "I agree")
    assert Record.objects.filter(resource_type="review", resource_id=day.isoformat()).count() == 3
    assert Review.objects.filter(day=day).count() == 3


def test_lines_that_are_left_are_told_before_signing_and_after_and_what_was_typed_stays(officer: Client) -> None:
    day = a_quiet_day()
    failed(day, 2)
    happened(day, severity="critical", event_type="gateway.signal.received")
    assert "2 of 2 lines have no disposition yet" in page(officer, day)
    typed = {"is-failed-0": "expected", "why-failed-0": "by the bank"}
    refused = sign(officer, day, "looked at", **typed)
    assert "Not signed: 1 of 2 lines have no disposition" in refused
    assert 'value="by the bank"' in refused and "looked at</textarea>" in refused
    assert '<option value="expected" selected>' in refused
    assert not Review.objects.filter(day=day).exists()
    signed = sign(officer, day, "looked at", **typed, partly="yes")
    assert "1 of 2 lines reviewed" in signed and "signed in part" in signed
    second = sign(officer, day, "", **{"is-failed-0": "incident", "is-grave-0": "ticket", "why-grave-0": "T-1"})
    assert "2 of 2 lines reviewed" in second
    assert second.index("incident <span") < second.index("before: expected: by the bank")
    assert "0 of 2 lines have no disposition yet" in second


def test_a_day_with_exceptions_is_not_signed_without_a_note(officer: Client) -> None:
    day = a_day()
    failed(day)
    assert "Not signed: There are exceptions" in sign(officer, day, " ")


def test_what_came_after_the_signature_is_told(officer: Client) -> None:
    day = a_day()
    failed(day)
    sign(officer, day)
    assert "came after the signature" not in page(officer, day)
    failed(day, 2)
    assert "2 came after the signature" in page(officer, day)


def test_a_form_that_names_nothing_that_was_shown_signs_nothing(officer: Client) -> None:
    day, sends = a_day(), reverse("admin:audit_review_sign", args=["%s"])
    for fields in ({}, {"digest": "x", "signatures": "²"}, {"digest": "\x00", "signatures": "-1"}):
        answer = officer.post(sends.replace("%25s", str(day)), fields | {"note": "n"}, follow=True)
        assert "read it again" in answer.content.decode()
    assert officer.get(sends.replace("%25s", str(day))).status_code == 405
    assert not Review.objects.filter(day=day).exists()


def test_an_auditor_reads_and_does_not_sign(auditor: Client) -> None:
    day = a_day()
    shown = page(auditor, day)
    assert "I have reviewed this day" not in shown and "compliance officers sign" in shown
    assert auditor.post(reverse("admin:audit_review_sign", args=[day]), {"note": "n"}).status_code == 403


@pytest.mark.parametrize("group", ["operator", "administrator", None])
def test_others_do_not_see_it(group: str | None) -> None:
    client, day = logged_in(person(group)), a_day()
    for path in (LIST, address(day), reverse("admin:audit_review_json", args=[day])):
        assert client.get(path).status_code == 403, path


def test_who_may_see_a_part_of_the_store_reviews_no_day_of_it() -> None:
    user = person("compliance officer")
    AuditorScope.objects.create(user=user, writers=[f"nobody-{secrets.token_hex(4)}"])
    client, day = logged_in(user), a_day()
    answer = client.get(address(day), follow=True)
    assert "A review is of the whole store" in answer.content.decode()
    assert client.get(reverse("admin:audit_review_json", args=[day])).status_code == 403
    missed = a_missed_day()
    assert client.get(reverse("admin:audit_missedreview_change", args=[missed.pk])).status_code == 200
    assert client.get(reverse("admin:audit_missedreview_changelist")).status_code == 200


def test_that_a_day_was_looked_through_is_a_record() -> None:
    user, day = person("compliance officer"), a_day()
    page(logged_in(user), day)
    (look,) = Record.objects.filter(event_category="access", actor_id=user.username)
    assert (look.event_type, look.resource_id) == ("audit.records.searched", "admin:audit_review_day")


def test_the_twin_says_the_same_and_takes_nothing(officer: Client) -> None:
    day = a_day()
    failed(day, 3)
    sign(officer, day)
    twin = reverse("admin:audit_review_json", args=[day])
    document = officer.get(twin).json()
    assert document["day"] == day.isoformat()
    assert document["parts"]["failed"] == {"payments.card.refused, tests": 3}
    assert (document["state"], document["came_after"], len(document["signatures"])) == ("signed in part", 0, 1)
    assert document["signatures"][0]["lines_reviewed"] == 0
    assert document["digest"] == document["signatures"][0]["digest"]
    assert officer.post(twin).status_code == 405


def test_the_calendar_says_of_each_day_how_it_stands(officer: Client) -> None:
    missed = a_missed_day()
    shown = officer.get(LIST, {"month": f"{missed.day:%Y-%m}"}).content.decode()
    assert f'href="{address(missed.day)}"' in shown
    assert "missed" in shown
    sign(officer, missed.day)
    again = officer.get(LIST, {"month": f"{missed.day:%Y-%m}"}).content.decode()
    assert "signed" in again
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    for month in ("", "x", "0001-01", "9999-12", "\x00"):
        assert f'href="{address(yesterday)}"' in officer.get(LIST, {"month": month}).content.decode()


def test_on_the_first_of_a_month_the_calendar_opens_with_the_day_that_waits() -> None:
    first = date(2026, 12, 1)
    assert review._month("", first) == date(2026, 11, 1)
    assert review._month("2026-12", first) == first == review._month("", first + timedelta(days=1))
    assert review._month("2027-01", first) == date(2026, 11, 1)


def test_days_that_are_none_are_404(officer: Client) -> None:
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    for day in (tomorrow, "1969-12-31", "20260101", "x", "9999-12-31", "2026-W01-1"):
        assert officer.get(address(day)).status_code == 404, day
    today = page(officer, datetime.now(UTC).date())
    assert "I have reviewed this day" not in today


def test_a_missed_review_is_explained_on_its_page(officer: Client) -> None:
    missed = a_missed_day()
    where = reverse("admin:audit_missedreview_change", args=[missed.pk])
    assert "Why nobody reviewed this day" in officer.get(where).content.decode()
    answer = officer.post(f"/admin/audit/missedreview/{missed.pk}/act/", {"explanation": "a holiday"}, follow=True)
    assert "a holiday" in answer.content.decode()
    (record,) = Record.objects.filter(event_type="audit.review.explained", event_data__day=missed.day.isoformat())
    assert record.event_data["explanation"] == "a holiday"
    assert f"{missed.day}" in officer.get(LIST, {"month": f"{missed.day:%Y-%m}"}).content.decode()


def test_the_start_page_tells_what_waits_to_those_who_may_see_it(officer: Client, operator: Client) -> None:
    a_missed_day()
    shown = officer.get("/admin/").content.decode()
    assert re.search(r"\d+ days? missed", html.unescape(shown))
    assert f'href="{LIST}"' in shown
    assert "Daily review" not in operator.get("/admin/").content.decode()


def test_hostile_names_stay_text(officer: Client) -> None:
    day = a_day()
    happened(day, severity="critical", actor_id="<script>alert(1)</script>")
    happened(day, writer="auditsite", event_category="access", event_type="audit.records.searched", actor_id="<b>‮x")
    shown = officer.get(address(day)).content.decode()
    assert "<b>" not in shown.partition("Access log of")[2].partition("</table>")[0]
    assert "‮" not in shown


def test_what_no_search_finds_leads_to_its_own_page(officer: Client) -> None:
    day = a_day()
    Rejection.objects.create(day=day, writer="tests", reason="unknown field", events=2)
    missed = a_missed_day()
    at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    MissedReview.objects.filter(pk=missed.pk).update(found_at=at)
    shown = page(officer, day)
    assert f'href="{reverse("admin:audit_account_changelist")}?first={day}&last={day}">unknown field' in shown
    assert f'href="{reverse("admin:audit_missedreview_changelist")}">missed reviews' in shown
