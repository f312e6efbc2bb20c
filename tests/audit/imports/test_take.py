"""Events of other systems come in once, whole, and are found in our words."""

import json
import secrets
from typing import Any

import pytest

import dlq.stream
from audit.imports import catalogue, mapping
from audit.imports.catalogue import BUILT_IN
from audit.models import Record
from audit.postgres.gateway import gateway
from audit.queue import drain
from audit.schemas import in_force
from tests.attacks.scene import Scene
from tests.audit.imports.conftest import a_cluster_event, a_trail_event, event_list, purged_event, took
from tests.audit.schemas.conftest import registered


def states(body: Any, source: Any, writer: str) -> list[str]:
    return [taken.state for taken in took(body, source, writer)]


def of_version_2() -> mapping.Mapping:
    text = (BUILT_IN / "cloudtrail.toml").read_text(encoding="utf-8").replace('version = "1"', 'version = "2"')
    return mapping.read(text.replace('value = "cloud"', 'value = "aws"'), "the second version")


def test_an_event_is_stored_once_however_often_it_comes(foreign_writer: str) -> None:
    events = [a_trail_event(), a_trail_event(errorCode="AccessDenied", errorMessage="no")]
    assert states(events, "cloudtrail", foreign_writer) == ["stored", "stored"]
    assert states([*events, *events], "cloudtrail", foreign_writer) == ["duplicate"] * 4
    first, second = Record.objects.filter(writer=foreign_writer).order_by("-event_outcome")
    assert (first.event_data, first.version) == (events[0], "cloudtrail/1")
    assert (first.actor_id, first.resource_id) == ("arn:aws:iam::111122223333:user/person-1", "test_user2")
    assert (first.event_type, first.event_action) == ("cloudtrail.iam.create_user", "CreateUser")
    assert (first.actor_ip, first.namespace) == ("192.0.2.13", None)
    assert (second.event_outcome, second.error_code, second.severity) == ("failure", "AccessDenied", "warning")


def test_what_does_not_fit_the_schema_of_its_type_is_kept_as_it_came_and_what_was_stored_before_is_as_it_was(
    foreign_writer: str,
) -> None:
    name = f"Zap{secrets.token_hex(4)}"
    before, after = a_trail_event(eventName=name), a_trail_event(eventName=name)
    [stored] = took([before], "cloudtrail", foreign_writer)
    kind = Record.objects.get(id=stored.id).event_type
    registered(kind, {"type": "object", "required": ["nobody sends this"]})
    in_force.forget()
    assert states([before], "cloudtrail", foreign_writer) == ["duplicate"]
    [kept] = took([after], "cloudtrail", foreign_writer)
    assert kept.state == "dead"
    assert list(kept.errors) == ["event_data.nobody sends this"]
    registered(kind, {}, mode="off")
    in_force.forget()
    assert states([after], "cloudtrail", foreign_writer) == ["stored"]


def test_another_event_under_the_same_id_is_stored_beside_the_first_and_once(foreign_writer: str) -> None:
    first = a_trail_event()
    other = first | {"sourceIPAddress": "AWS Internal"}
    assert states([first, other], "cloudtrail", foreign_writer) == ["stored", "stored"]
    assert states([other, first], "cloudtrail", foreign_writer) == ["duplicate", "duplicate"]
    assert states([other], "cloudtrail", foreign_writer) == ["duplicate"]
    rows = Record.objects.filter(writer=foreign_writer)
    assert {(row.event_data["sourceIPAddress"], row.actor_ip) for row in rows} == {
        ("192.0.2.13", "192.0.2.13"),
        ("AWS Internal", None),
    }
    told = Record.objects.filter(event_type="audit.event.conflict", event_data__offered_by=foreign_writer)
    assert [row.event_data["event_id"] in {str(record.id) for record in rows} for row in told] == [True]


def test_a_mapping_of_another_version_makes_no_second_record_and_no_conflict(foreign_writer: str) -> None:
    event = a_trail_event()
    assert states(event, "cloudtrail", foreign_writer) == ["stored"]
    assert states(event, of_version_2(), foreign_writer) == ["duplicate"]
    (row,) = Record.objects.filter(writer=foreign_writer)
    assert (row.version, row.event_category) == ("cloudtrail/1", "cloud")
    assert not Record.objects.filter(event_type="audit.event.conflict", event_data__offered_by=foreign_writer).exists()


def test_each_stage_of_a_request_to_a_cluster_is_an_event_of_its_own(foreign_writer: str) -> None:
    event = a_cluster_event()
    received = event | {"stage": "RequestReceived"}
    assert states(event_list(received, event), "kubernetes", foreign_writer) == ["stored", "stored"]
    rows = Record.objects.filter(correlation_id=event["auditID"]).order_by("event_outcome")
    assert [row.event_outcome for row in rows] == ["pending", "success"]
    assert {(row.event_type, row.resource_id, row.actor_id) for row in rows} == {
        ("kubernetes.pods.delete", "prod/web", "person-1")
    }


def test_what_is_not_mapped_waits_as_it_came_and_costs_the_others_nothing(
    foreign_writer: str, empty_queue: None
) -> None:
    good = a_trail_event()
    raw = '{"eventID": "twice", "eventID": "twice",  "eventTime": "2026-03-17T17:07:59Z"}'
    body = f'{{"Records": [{json.dumps(good)}, {raw}, {{"eventName":"X"}}, 7]}}'.encode()
    taken = took(body, "cloudtrail", foreign_writer)
    assert [each.state for each in taken] == ["stored", "dead", "dead", "dead"]
    assert [set(each.errors) for each in taken[1:]] == [{"eventID"}, {"eventTime", "eventSource"}, {""}]
    assert [each.id for each in took(body, "cloudtrail", foreign_writer)] == [each.id for each in taken]
    drain.drain(seconds=20)
    kept = dlq.stream.for_drain().pages.find(str(taken[1].id))
    assert kept is not None
    assert (kept.state, kept.body, kept.source) == ("dead", raw.encode(), foreign_writer)
    assert "occurs twice" in (kept.last_error or "")


def test_what_waits_is_stored_by_a_drain_once_its_mapping_maps_it(
    foreign_writer: str, empty_queue: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = a_trail_event(eventSource=None)
    (taken,) = took(event, "cloudtrail", foreign_writer)
    assert taken.state == "dead"
    text = (BUILT_IN / "cloudtrail.toml").read_text(encoding="utf-8").replace(', "eventSource"]', "]")
    mended = mapping.read(text.replace('"cloudtrail.{eventSource|first}.', '"cloudtrail.'), "mended")
    monkeypatch.setattr(catalogue, "every", lambda: {"cloudtrail": mended})
    drain.drain(seconds=20)
    (row,) = Record.objects.filter(writer=foreign_writer)
    assert (row.event_data, row.event_type) == (event, "cloudtrail.create_user")


@pytest.mark.slow
def test_what_was_purged_is_there_already_and_keeps_nothing_else_back(elsewhere: Scene, foreign_writer: str) -> None:
    """The trail is imported again each night, also after a purge."""
    gone = purged_event(foreign_writer)
    events = [a_trail_event(), gone, a_trail_event()]
    taken = took(events, "cloudtrail", foreign_writer)
    assert [each.state for each in taken] == ["stored", "duplicate", "stored"]
    assert [each.is_purged for each in taken] == [False, True, False]
    assert taken[1].recorded is None, "nothing can be promised of what is gone"
    assert states([gone, *events], "cloudtrail", foreign_writer) == ["duplicate"] * 4
    assert Record.objects.filter(writer=foreign_writer).count() == 2
    told = Record.objects.filter(event_type="audit.event.conflict", event_data__offered_by=foreign_writer)
    assert not told.exists()


@pytest.mark.slow
def test_in_an_outage_each_event_is_parked_once_and_stored_once(
    foreign_writer: str, empty_queue: None, postgres: Any
) -> None:
    before, first = a_trail_event(), a_trail_event()
    other = first | {"sourceIPAddress": "AWS Internal"}
    assert states(before, "cloudtrail", foreign_writer) == ["stored"]
    with postgres.stopped():
        assert states([first, other, first], "cloudtrail", foreign_writer) == ["parked"] * 3
        # By a mapping of another version; the first is stored already, and PostgreSQL cannot say so.
        assert states([before, first, other], of_version_2(), foreign_writer) == ["parked"] * 3
    assert gateway().breaker.wait_closed(20)
    drain.drain(seconds=20)
    rows = Record.objects.filter(writer=foreign_writer)
    found = sorted(json.dumps(row.event_data, sort_keys=True) for row in rows)
    assert found == sorted(json.dumps(each, sort_keys=True) for each in (before, first, other))
