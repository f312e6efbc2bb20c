"""Events have to fit the schema of their type, where there is one; what was promised is not asked again."""

from typing import Any

import pytest
import uuid_utils.compat

from audit.api import events
from audit.errors import Invalid
from audit.models import EventSchema, OutboxAlarm, Record
from audit.postgres.gateway import gateway
from audit.queue import drain
from audit.schemas import in_force, register
from tests.audit.conftest import BATCH, Sender, an_event
from tests.audit.schemas.conftest import event_type, registered

NEEDS_USER = {"type": "object", "required": ["user"], "properties": {"user": {"type": "string"}}}


def test_an_event_that_does_not_fit_is_refused_and_its_member_is_named(writer: Sender) -> None:
    kind = event_type()
    registered(kind, NEEDS_USER)
    assert writer.post(an_event(event_type=kind, event_data={"user": "ann"})).status_code == 201
    answer = writer.post(an_event(event_type=kind, event_data={"user": 7}))
    assert answer.status_code == 400
    assert 'is not of type "string"' in answer.json()["field_errors"]["event_data.user"]
    assert Record.objects.filter(event_type=kind).count() == 1


def test_a_batch_names_the_event_that_does_not_fit(writer: Sender) -> None:
    kind = event_type()
    registered(kind, NEEDS_USER)
    batch = [an_event(), an_event(event_type=kind, event_data={})]
    assert list(writer.post(batch, BATCH).json()["field_errors"]) == ["1.event_data.user"]


def test_a_lenient_writer_has_what_does_not_fit_kept_for_a_person(writer: Sender) -> None:
    kind = event_type()
    registered(kind, NEEDS_USER)
    lenient = {"Prefer": "handling=lenient"}
    answer = writer.post(an_event(event_type=kind, event_data={}), headers=lenient)
    assert (answer.status_code, answer.json()["state"]) == (202, "dead")


def test_a_schema_that_warns_stores_and_counts(writer: Sender) -> None:
    kind = event_type()
    registered(kind, NEEDS_USER, mode="warn")
    counter = in_force.metrics.schema_misfits.labels(event_type=kind, mode="warn")
    assert writer.post(an_event(event_type=kind, event_data={})).status_code == 201
    assert counter._value.get() == 1


def test_the_newest_revision_holds_and_one_of_a_version_before_that_of_all(writer: Sender) -> None:
    kind = event_type()
    registered(kind, NEEDS_USER)
    registered(kind, {"required": ["other"]}, version="2.0")
    in_force.forget()
    assert writer.post(an_event(event_type=kind, version="2.0", event_data={"other": 1})).status_code == 201
    assert writer.post(an_event(event_type=kind, version="1.0", event_data={"other": 1})).status_code == 400
    second = registered(kind, NEEDS_USER, mode="off")
    assert second.revision == 2
    assert writer.post(an_event(event_type=kind, version="1.0", event_data={"other": 1})).status_code == 201


def test_an_event_that_was_stored_before_its_schema_held_is_a_duplicate_as_ever(writer: Sender) -> None:
    kind = event_type()
    document = an_event(event_type=kind, event_data={}, event_id=str(uuid_utils.compat.uuid7()))
    assert writer.post(document).status_code == 201
    registered(kind, NEEDS_USER)
    assert writer.post(document).status_code == 200
    assert writer.post(document | {"event_id": str(uuid_utils.compat.uuid7())}).status_code == 400


def test_what_was_parked_is_stored_whatever_is_registered_meanwhile(writer: Sender, postgres: Any) -> None:
    kind = event_type()
    waits, again = (an_event(event_type=kind, event_data={}, event_id=str(uuid_utils.compat.uuid7())) for _ in range(2))
    with postgres.stopped():
        assert [writer.post(document).status_code for document in (waits, again)] == [202, 202]
    assert gateway().breaker.wait_closed(20)
    registered(kind, NEEDS_USER)
    assert writer.post(again).status_code != 400
    drain.drain(seconds=20)
    assert {str(record.pk) for record in Record.objects.filter(event_type=kind)} == {
        waits["event_id"],
        again["event_id"],
    }


def test_a_process_that_cannot_ask_checks_by_what_it_knew(writer: Sender, postgres: Any) -> None:
    kind = event_type()
    registered(kind, NEEDS_USER)
    assert writer.post(an_event(event_type=kind, event_data={})).status_code == 400
    with postgres.stopped():
        in_force.forget()
        assert writer.post(an_event(event_type=kind, event_data={})).status_code == 400
        assert writer.post(an_event(event_type=kind, event_data={"user": "ann"})).status_code == 202


def test_a_check_that_takes_too_long_is_the_last_one_and_is_told(
    writer: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = event_type()
    registered(kind, NEEDS_USER)
    monkeypatch.setattr(in_force, "SLOW_S", -1.0)
    assert writer.post(an_event(event_type=kind, event_data={})).status_code == 400
    assert writer.post(an_event(event_type=kind, event_data={})).status_code == 201
    assert OutboxAlarm.objects.filter(alarm="audit.schema", text__contains="is set aside").exists()


def test_without_a_schema_nothing_is_asked_for_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    in_force.of_event(an_event())
    asked: list[Any] = []
    monkeypatch.setattr(in_force, "gateway", lambda: asked.append(1))
    for _ in range(100):
        events._accept(an_event(), "tests")
    assert asked == []


def test_registering_is_a_record_first_and_is_never_changed(writer: Sender) -> None:
    kind = event_type()
    row = registered(kind, NEEDS_USER)
    act = Record.objects.get(correlation_id=f"schema-{kind}")
    assert (act.event_type, act.actor_id) == ("audit.schema.registered", "ann")
    assert act.event_data["schema"] == NEEDS_USER and act.event_data["mode"] == "refuse"
    with pytest.raises(Exception, match="append-only"):
        EventSchema.objects.filter(pk=row.pk).update(mode="off")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"event_type": "Not.A.Type"}, "event_type"),
        ({"event_version": "x" * 21}, "event_version"),
        ({"mode": "maybe"}, "mode"),
        ({"reason": " "}, "reason"),
    ],
)
def test_what_cannot_be_registered_is_named(changes: dict[str, str], field: str) -> None:
    given = {"event_type": "a.b", "event_version": "", "mode": "warn", "reason": "r"} | changes
    with pytest.raises(Invalid) as refusal:
        register.register("{}", given.pop("event_type"), given.pop("event_version"), **given, by="ann")
    assert refusal.value.errors.keys() == {field}
