"""Legal holds in the admin: an officer places and releases, an auditor sees, each record says that it is held."""

import secrets

import pytest
from django.test import Client
from django.urls import reverse

from audit.models import AuditorScope, LegalHold
from tests.admin.conftest import logged_in, person, stored_record

PLACE = reverse("admin:audit_legalhold_place")


@pytest.fixture
def officer() -> Client:
    return logged_in(person("compliance officer"))


def placed(officer: Client, correlation: str, reason: str = "case 7") -> LegalHold:
    answer = officer.post(PLACE, {"correlation": correlation, "matter": "7/2026", "reason": reason, "place": "yes"})
    assert answer.status_code == 302, answer.content
    return LegalHold.objects.get(correlation_id=correlation, release=None)


def test_an_officer_holds_a_correlation_from_a_record(officer: Client, auditor: Client) -> None:
    record = stored_record(correlation_id=f"matter-{secrets.token_hex(4)}")
    page = reverse("admin:audit_record_change", args=[record.pk])
    assert f"{PLACE}?correlation={record.correlation_id}" in officer.get(page).content.decode()
    assert PLACE not in auditor.get(page).content.decode()
    shown = officer.get(PLACE, {"correlation": record.correlation_id}).content.decode()
    assert "1 record now" in shown
    hold = placed(officer, record.correlation_id)
    assert "may not be purged" in auditor.get(page).content.decode()
    assert "case 7" in auditor.get(reverse("admin:audit_legalhold_change", args=[hold.pk])).content.decode()


def test_two_people_release_it_with_a_reason(officer: Client) -> None:
    record = stored_record(correlation_id=f"matter-{secrets.token_hex(4)}")
    hold = placed(officer, record.correlation_id)
    release = reverse("admin:audit_legalhold_release", args=[hold.pk])
    refused = officer.post(release, {"reason": " "}, follow=True).content.decode()
    assert "Nothing is requested: is required" in refused
    asked = officer.post(release, {"reason": "settled"}, follow=True).content.decode()
    assert "a second person has to approve it" in asked
    request = hold.release_requests.get()
    page = reverse("admin:audit_legalhold_change", args=[hold.pk])
    assert "Its release is requested" in officer.get(page).content.decode()
    decide = reverse("admin:audit_retentionrequest_decide", args=[request.pk])
    refused = officer.post(decide, {"approve": "yes"}, follow=True).content.decode()
    assert "a second person has to" in refused
    second = logged_in(person("compliance officer"))
    assert "It is decided" in second.post(decide, {"approve": "yes"}, follow=True).content.decode()
    end = LegalHold.objects.get(pk=hold.pk).released
    assert end is not None
    assert end.reason == "settled"
    assert "settled" in officer.get(page).content.decode()
    listed = officer.get(reverse("admin:audit_legalhold_changelist"), {"q": record.correlation_id}).content.decode()
    assert "released" in listed


def test_the_form_counts_before_anything_is_held(officer: Client) -> None:
    actor = f"actor-{secrets.token_hex(4)}"
    stored_record(actor_id=actor), stored_record(actor_id=actor)
    given = {"actor": actor, "since": "2020-01-01", "before": "2030-01-01", "reason": "kept as it was typed"}
    shown = officer.post(PLACE, given | {"count": "yes"}).content.decode()
    assert "2 records now" in shown
    assert "kept as it was typed" in shown
    assert not LegalHold.objects.filter(actor=actor).exists()
    refused = officer.post(PLACE, given | {"place": "yes"}).content.decode()
    assert "Nothing is held: name the matter" in refused
    unread = officer.post(PLACE, given | {"since": "soon", "place": "yes"}).content.decode()
    assert "Nothing is held: &#x27;soon&#x27;" in unread
    answer = officer.post(PLACE, given | {"matter": "7/2026", "place": "yes"})
    assert answer.status_code == 302
    hold = LegalHold.objects.get(actor=actor)
    assert f"actor:{actor}" in officer.get(answer.headers["Location"]).content.decode()
    assert hold.since is not None


def test_what_cannot_be_held_says_why(officer: Client) -> None:
    unknown = officer.post(
        PLACE, {"correlation": "no-such", "matter": "7/2026", "reason": "case 7", "place": "yes"}
    ).content.decode()
    assert "Nothing is held: No record has this correlation" in unknown
    assert "case 7" in unknown


def test_only_an_officer_places_and_releases(officer: Client, auditor: Client, operator: Client) -> None:
    record = stored_record(correlation_id=f"matter-{secrets.token_hex(4)}")
    hold = placed(officer, record.correlation_id)
    for client in (auditor, operator):
        assert (
            client.post(
                PLACE, {"correlation": record.correlation_id, "matter": "m", "reason": "x", "place": "y"}
            ).status_code
            == 403
        )
        assert client.post(reverse("admin:audit_legalhold_release", args=[hold.pk])).status_code == 403
    assert operator.get(reverse("admin:audit_legalhold_changelist")).status_code == 403


def test_a_hold_outside_the_scope_is_as_if_it_were_not_there(officer: Client) -> None:
    record = stored_record(correlation_id=f"matter-{secrets.token_hex(4)}")
    hold = placed(officer, record.correlation_id)
    user = person("auditor")
    AuditorScope.objects.create(user=user, writers=["another"], categories=[])
    scoped = logged_in(user)
    assert scoped.get(reverse("admin:audit_legalhold_change", args=[hold.pk])).status_code == 404
    listed = scoped.get(reverse("admin:audit_legalhold_changelist"), {"q": record.correlation_id}).content.decode()
    assert "case 7" not in listed
