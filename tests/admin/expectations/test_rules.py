"""Rules, their findings and their waivers in the admin: who may do what, and that it is recorded."""

import html
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from audit.errors import NothingKept
from audit.ingest import trail
from audit.models import Expectation, Record, Unmet, Waiver
from tests.admin.expectations.conftest import an_unmet
from tests.audit.expectations.conftest import MakeRule, found, rule_maker

RULES, UNMET, WAIVERS = (f"/admin/audit/{place}/" for place in ("expectation", "unmet", "waiver"))
BEGAN = datetime(2026, 8, 18, 10, tzinfo=UTC)


@pytest.fixture
def rule() -> Iterator[MakeRule]:
    with rule_maker() as make:
        yield make


def form(name: str, **changes: Any) -> dict[str, Any]:
    asked = {"when_types": "a.began\na.started", "expect_types": "a.ended", "within_s": "60", "active": "on"}
    return {"name": name, "kind": "followed", "why": "To know how it ended."} | asked | changes


@pytest.mark.parametrize(
    ("who", "allowed"),
    [
        ("auditor", {RULES, UNMET, WAIVERS, f"{WAIVERS}add/"}),
        ("operator", {RULES, UNMET, WAIVERS}),
        ("administrator", {RULES, f"{RULES}add/", WAIVERS}),
        ("outsider", set()),
    ],
)
def test_each_group_sees_its_pages_and_no_others(request: pytest.FixtureRequest, who: str, allowed: set[str]) -> None:
    client: Client = request.getfixturevalue(who)
    answers = {path: client.get(path).status_code for path in (RULES, UNMET, WAIVERS, f"{RULES}add/", f"{WAIVERS}add/")}
    assert {path for path, status in answers.items() if status == 200} == allowed
    assert {status for path, status in answers.items() if path not in allowed} <= {403}


def test_an_administrator_makes_and_changes_a_rule_and_both_are_recorded(administrator: Client) -> None:
    name = f"t-{secrets.token_hex(4)}"
    assert administrator.post(f"{RULES}add/", form(name)).status_code == 302
    known = Expectation.objects.get(name=name)
    assert (known.when_types, known.expect_types) == (["a.began", "a.started"], ["a.ended"])
    page = f"{RULES}{known.pk}/change/"
    assert "a.began or a.started is followed by a.ended" in administrator.get(page).content.decode()
    off = form(name, within_s="90", inactive_because="A test is over.")
    del off["active"]
    answer = administrator.post(page, off, follow=True)
    assert "Rule changed. It applies to events sealed from now on." in answer.content.decode()
    known.refresh_from_db()
    assert (known.within_s, known.active, known.version) == (90, False, 2)
    acts = Record.objects.filter(correlation_id=f"expectation-{name}").order_by("event_timestamp")
    assert [one.event_type for one in acts] == ["audit.expectation.created", "audit.expectation.changed"]
    assert acts[1].actor_id.startswith("administrator-")
    assert (acts[1].event_data["before"]["within_s"], acts[1].event_data["after"]["within_s"]) == (60, 90)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"within_s": ""}, "needs it"),
        ({"expect_types": "NOT A TYPE"}, "expected `str` matching"),
        ({"kind": "rate"}, "means nothing to a rule of the kind"),
        ({"active": ""}, "a rule that is not active needs a reason"),
        ({"why": "a\x00b"}, "Null characters are not allowed"),
    ],
)
def test_a_rule_at_fault_is_refused_at_its_field(administrator: Client, changes: dict[str, str], says: str) -> None:
    name = f"t-{secrets.token_hex(4)}"
    answer = administrator.post(f"{RULES}add/", form(name, **changes))
    assert answer.status_code == 200
    assert says in html.unescape(answer.content.decode()).replace("Expected", "expected")
    assert not Expectation.objects.filter(name=name).exists()


@pytest.mark.parametrize("who", ["auditor", "operator", "administrator", "superuser_client"])
def test_nobody_deletes_a_rule_a_finding_or_a_waiver(request: pytest.FixtureRequest, rule: MakeRule, who: str) -> None:
    client: Client = request.getfixturevalue(who)
    known = rule()
    unmet = an_unmet(known)
    for path in (f"{RULES}{known.pk}/delete/", f"{UNMET}{unmet.pk}/delete/"):
        assert client.post(path, {"post": "yes"}).status_code == 403
    assert Unmet.objects.filter(pk=unmet.pk).exists()


def test_who_may_only_look_changes_nothing(auditor: Client, rule: MakeRule) -> None:
    known = rule()
    page = f"{RULES}{known.pk}/change/"
    assert auditor.get(page).status_code == 200
    assert auditor.post(page, form(known.name, within_s="999")).status_code == 403
    known.refresh_from_db()
    assert known.within_s == 60


def test_the_list_says_how_each_rule_stands(administrator: Client, auditor: Client, rule: MakeRule) -> None:
    known = rule()
    an_unmet(known)
    assert "&amp;state=open" not in administrator.get(RULES, {"q": known.name}).content.decode()
    page = auditor.get(RULES, {"q": known.name}).content.decode()
    assert known.words in page
    assert f"?q={known.name}&amp;state=open" in page
    opened = auditor.get(UNMET, {"q": known.name, "state": "open"}).content.decode().replace("<wbr>", "")
    assert found(known)[0].subject in opened
    assert f">{known.name}.y</td>" in opened
    assert f">{html.escape(known.words)}</span></td>" in opened


def test_a_finding_shows_what_came_and_what_is_missing(auditor: Client, operator: Client, rule: MakeRule) -> None:
    known = rule()
    unmet = an_unmet(known)
    page = reverse("admin:audit_unmet_change", args=[unmet.pk])
    text = auditor.get(page).content.decode()
    for expected in (known.words, "began it", f"missing: {known.name}.y", f"{known.name}.other", "2026-08-18 10:01:00"):
        assert expected in text
    assert reverse("admin:audit_record_change", args=[unmet.began_by]) in text
    assert f"{WAIVERS}add/?expectation={known.pk}&amp;correlation={unmet.subject}" in text
    assert f"{known.name}.other" not in operator.get(page).content.decode()
    assert auditor.get(reverse("admin:audit_unmet_change", args=[2**60])).status_code == 404


def test_a_finding_is_owned_and_explained_and_both_are_recorded(operator: Client, rule: MakeRule) -> None:
    unmet = an_unmet(rule())
    act = reverse("admin:audit_unmet_act", args=[unmet.pk])
    operator.post(act, {"act": "own"})
    operator.post(act, {"act": "explain", "explanation": "<b>A pod was killed.</b>"})
    unmet.refresh_from_db()
    assert (unmet.state, unmet.explanation) == ("explained", "<b>A pod was killed.</b>")
    acts = Record.objects.filter(event_type__startswith="audit.expectation.", event_data__subject=unmet.subject)
    assert sorted(acts.values_list("event_action", flat=True)) == ["explained", "owned"]


def test_a_waiver_needs_a_reason_is_recorded_and_explains(auditor: Client, rule: MakeRule) -> None:
    known = rule()
    unmet = an_unmet(known)
    given = {
        "expectation": known.pk,
        "correlation": unmet.subject,
        "begins_at": f"{BEGAN - timedelta(hours=1):%Y-%m-%dT%H:%M}",
        "ends_at": f"{BEGAN + timedelta(hours=1):%Y-%m-%dT%H:%M}",
    }
    assert auditor.post(f"{WAIVERS}add/", given | {"reason": " "}).status_code == 200
    assert auditor.post(f"{WAIVERS}add/", given | {"reason": "x", "ends_at": "2026-01-01T00:00"}).status_code == 200
    assert not Waiver.objects.filter(expectation=known).exists()
    answer = auditor.post(f"{WAIVERS}add/", given | {"reason": "A drill."}, follow=True)
    assert "It explains 1 that were open" in answer.content.decode()
    waiver = Waiver.objects.get(expectation=known)
    unmet.refresh_from_db()
    assert (unmet.state, unmet.waiver, unmet.owner) == ("explained", waiver, waiver.by)
    assert waiver.by.startswith("auditor-")
    page = auditor.get(f"{WAIVERS}{waiver.pk}/change/")
    assert "A drill." in page.content.decode()
    assert auditor.post(f"{WAIVERS}{waiver.pk}/change/", given).status_code == 403


def test_the_page_of_completeness_counts_what_was_not_met(auditor: Client, rule: MakeRule) -> None:
    an_unmet(rule())
    page = auditor.get("/admin/audit/gap/").content.decode()
    assert "not met" in page
    assert f"{UNMET}?state=open" in page


def test_what_cannot_be_recorded_is_not_done(administrator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **facts: Any) -> None:
        raise NothingKept

    monkeypatch.setattr(trail, "add", refuse)
    name = f"t-{secrets.token_hex(4)}"
    answer = administrator.post(f"{RULES}add/", form(name), follow=True)
    assert "Nothing was done" in answer.content.decode()
    assert not Expectation.objects.filter(name=name).exists()


def test_a_rule_without_a_kind_is_refused_in_words_beside_that_field(administrator: Client) -> None:
    page = administrator.post(f"{RULES}add/", form("t-without", kind="")).content.decode()
    assert "This field is required." in page
    assert "Invalid enum value" not in page
