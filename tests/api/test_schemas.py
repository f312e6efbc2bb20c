"""Schemas over HTTP: a key with the scope registers; writers read what they have to fit, and are told where not."""

from typing import Any

import pytest

from audit.models import EventSchema, Record
from audit.schemas import in_force
from tests.audit.conftest import BATCH, Sender, an_event
from tests.audit.schemas.conftest import event_type, holds_at_once

__all__ = ["holds_at_once"]

SCHEMAS = "/api/v1/audit/schemas"
USER = {"type": "object", "required": ["user"], "properties": {"user": {"type": "object", "required": ["mail"]}}}


@pytest.fixture
def registrar() -> Sender:
    return Sender("schema")


def asked(of: str, **changes: Any) -> dict[str, Any]:
    return {"event_type": of, "mode": "refuse", "reason": "ticket 4711", "schema": USER} | changes


def test_a_key_registers_sets_the_mode_and_reads_each_revision(registrar: Sender) -> None:
    kind = event_type()
    first = registrar.post(asked(kind), SCHEMAS)
    assert first.status_code == 201, first.content
    assert (first.json()["revision"], first.json()["mode"], first.json()["schema"]) == (1, "refuse", USER)
    second = registrar.post({"event_type": kind, "mode": "warn", "reason": "too early"}, SCHEMAS).json()
    assert (second["revision"], second["mode"], second["schema"]) == (2, "warn", USER)
    listed = registrar.get(f"{SCHEMAS}/{kind}").json()
    assert [(each["revision"], each["mode"]) for each in listed["schemas"]] == [(2, "warn"), (1, "refuse")]
    assert registrar.get(f"{SCHEMAS}/{kind}/1").json() == first.json()
    holding = [each for each in registrar.get(SCHEMAS).json()["schemas"] if each["event_type"] == kind]
    assert [(each["revision"], each["made_by"]) for each in holding] == [(2, registrar.name)]
    acts = Record.objects.filter(correlation_id=f"schema-{kind}").order_by("event_timestamp")
    assert [(act.actor_id, act.actor_type, act.event_data["mode"]) for act in acts] == [
        (registrar.name, "service", "refuse"),
        (registrar.name, "service", "warn"),
    ]


def test_one_for_a_version_has_revisions_of_its_own(registrar: Sender) -> None:
    kind = event_type()
    registrar.post(asked(kind, version="2.0"), SCHEMAS)
    assert registrar.get(f"{SCHEMAS}/{kind}").status_code == 404
    assert registrar.get(f"{SCHEMAS}/{kind}/1", version="2.0").json()["version"] == "2.0"
    assert registrar.get(f"{SCHEMAS}/{kind}/2", version="2.0").status_code == 404
    assert len(registrar.get(f"{SCHEMAS}/{kind}", version="2.0").json()["schemas"]) == 1


def test_what_names_no_schema_finds_none(registrar: Sender) -> None:
    for path in ("No%20Type", "a%00b", "a.b/0", f"a.b/{10**30}"):
        assert registrar.get(f"{SCHEMAS}/{path}").status_code == 404, path
    assert registrar.get(f"{SCHEMAS}/a.b", version="\x00").status_code == 404


def test_writers_and_readers_look_and_only_the_scope_registers(registrar: Sender) -> None:
    kind = event_type()
    for scope in ("write", "read"):
        assert Sender(scope).get(SCHEMAS).status_code == 200
    other = Sender("write", "read", "export", "hold", "erase")
    assert other.post(asked(kind), SCHEMAS).status_code == 403
    assert Sender("hold").get(SCHEMAS).status_code == 403
    assert not EventSchema.objects.filter(event_type=kind).exists()


@pytest.mark.parametrize(
    ("changes", "member"),
    [
        ({"schema": {"$ref": "http://x/"}}, "schema"),
        ({"schema": []}, "schema"),
        ({"schema": None}, "schema"),
        ({"mode": "perhaps"}, "mode"),
        ({"reason": " "}, "reason"),
        ({"event_type": "No Type"}, "event_type"),
        ({"version": "x" * 21}, "version"),
        ({"version": 2}, "version"),
        ({"version": "\ud800"}, "version"),
        ({"reason": "because \ud800"}, "reason"),
        ({"other": 1}, "other"),
    ],
)
def test_what_is_no_schema_is_refused_by_its_member(registrar: Sender, changes: dict[str, Any], member: str) -> None:
    kind = event_type()
    answer = registrar.post(asked(kind) | changes, SCHEMAS)
    assert (answer.status_code, list(answer.json()["field_errors"])) == (400, [member])


def test_a_mode_cannot_be_set_where_there_is_no_schema(registrar: Sender) -> None:
    answer = registrar.post({"event_type": event_type(), "mode": "off", "reason": "r"}, SCHEMAS)
    assert "schema" in answer.json()["field_errors"]


def test_a_writer_that_is_refused_is_told_each_place_in_its_event(registrar: Sender, writer: Sender) -> None:
    kind = event_type()
    items = {"type": "array", "items": {"properties": {"n": {"type": "integer"}}}}
    user = {"type": "object", "required": ["mail"]}
    strict = {"required": ["user", "when"], "properties": {"user": user, "items": items, "when": {}}}
    registrar.post(asked(kind, schema=strict | {"additionalProperties": False}), SCHEMAS)
    in_force.forget()
    data = {"user": {}, "items": [{"n": 1}, {"n": "two"}], "a.b": 1, "more": 2}
    errors = writer.post(an_event(event_type=kind, event_data=data)).json()["field_errors"]
    assert set(errors) == {
        "event_data.user.mail",
        "event_data.when",
        "event_data.items.1.n",
        'event_data."a.b"',
        "event_data.more",
    }
    assert "two" not in str(errors)
    assert errors["event_data.user.mail"].endswith("(schema, properties/user/required)")
    assert errors["event_data.more"] == "is not foreseen (schema, additionalProperties)"
    batch = [an_event(), an_event(event_type=kind, event_data={"when": 1, "user": {}})]
    assert list(writer.post(batch, BATCH).json()["field_errors"]) == ["1.event_data.user.mail"]
