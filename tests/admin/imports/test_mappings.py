"""What a mapping does is seen before it is used, and nothing of a sample is kept."""

import json

import pytest
from django.test import Client
from django.urls import reverse

from audit.models import Record
from tests.admin.conftest import SCRIPT, logged_in, person
from tests.audit.imports.conftest import a_trail_event

LIST, TRY = (
    reverse("admin:audit_importmapping_changelist"),
    reverse("admin:audit_importmapping_try", args=["cloudtrail"]),
)


@pytest.fixture
def officer() -> Client:
    return logged_in(person("compliance officer"))


def test_mappings_are_listed_with_their_versions(officer: Client) -> None:
    page = officer.get(LIST).content.decode()
    assert "AWS CloudTrail" in page
    assert "kubernetes" in page
    assert f'href="{TRY}"' in page
    auditor = logged_in(person("auditor"))
    assert TRY not in auditor.get(LIST).content.decode()
    assert auditor.get(TRY).status_code == 403
    assert logged_in(person("operator")).get(LIST).status_code == 403
    assert officer.get(TRY.replace("cloudtrail", "nothing")).status_code == 404


def test_a_sample_shows_which_member_fills_what_and_which_none(officer: Client) -> None:
    mapping = officer.get(TRY).context["text"]
    sample = a_trail_event(newMember=SCRIPT, eventName=f"Do{SCRIPT}")
    before = Record.objects.filter(version="cloudtrail/1").count()
    answer = officer.post(TRY, {"mapping": mapping, "sample": json.dumps({"Records": [sample, {"eventName": "X"}]})})
    page = answer.content.decode()
    shown, wrong = answer.context["shown"]
    by_field = {filled.field: filled for filled in shown.filled}
    assert (by_field["actor_id"].value, by_field["actor_id"].members) == (
        "arn:aws:iam::111122223333:user/person-1",
        ("userIdentity.arn",),
    )
    assert by_field["event_category"].members == ()
    assert "newMember" in shown.unmapped
    assert json.loads(shown.event)["event_data"] == sample
    assert {field for field, _ in wrong.faults} == {"eventTime", "eventSource"}
    assert SCRIPT not in page
    assert Record.objects.filter(version="cloudtrail/1").count() == before


def test_a_changed_mapping_is_tried_and_what_is_wrong_with_one_is_said_where(officer: Client) -> None:
    mapping, sample = officer.get(TRY).context["text"], json.dumps(a_trail_event())
    changed = mapping.replace(
        'event_action = "eventName"', 'event_action = { text = "done by {userIdentity.userName}" }'
    )
    shown = officer.post(TRY, {"mapping": changed, "sample": sample}).context["shown"]
    assert "done by person-1" in [filled.value for filled in shown[0].filled]
    broken = mapping.replace('event_action = "eventName"', "event_action = 7")
    page = officer.post(TRY, {"mapping": broken, "sample": sample}).content.decode()
    assert "The mapping: event.event_action: 7 is neither a path nor a table" in page
    assert "There is no event" in officer.post(TRY, {"mapping": mapping, "sample": "[]"}).content.decode()
    assert "not JSON" in officer.post(TRY, {"mapping": mapping, "sample": "[{"}).content.decode()
