"""The OpenAPI description says what the API does: schemathesis sends what it allows, and worse."""

import json
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import schemathesis
from django.test import Client
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import positive_data_acceptance

from audit.api.openapi import examples, groups, view
from audit.errors import Invalid
from audit.formats import canonical, event
from audit.formats.event import accept
from audit.ingest.record import store
from audit.ledger import seal
from audit.models import Record
from auditsite.wsgi import application
from tests.audit.conftest import Sender, an_event

# Read by the process that runs the test: making its cases takes longer than importing all other tests.
some, whole = (schemathesis.pytest.from_fixture(f"{name}_schema") for name in ("some", "whole"))


def moment() -> st.SearchStrategy[datetime]:
    """A moment that is not ahead of the server's clock: what `date-time` does not say, and the description does."""
    return st.datetimes(max_value=datetime.now(UTC).replace(tzinfo=None))


def uuid7(milliseconds: int, random: int) -> str:
    return str(UUID(int=milliseconds << 80 | 7 << 76 | random >> 62 << 64 | 2 << 62 | random & (1 << 62) - 1))


schemathesis.openapi.format("date-time", moment().map(lambda at: f"{at.isoformat()}Z"))
schemathesis.openapi.format("uuid", st.builds(uuid7, st.integers(0, 1_700_000_000_000), st.integers(0, 2**74 - 1)))


@pytest.fixture
def whole_schema(request: pytest.FixtureRequest) -> Any:
    request.node._nodeid = request.node.nodeid  # which schemathesis 4.32 looks for, and pytest 9.2 no longer has
    return schemathesis.openapi.from_wsgi("/api/schema/?format=json", application)


@pytest.fixture
def some_schema(whole_schema: Any) -> Any:
    """Without the cases that are drawn at every edge of the schema, 1,600 of them."""
    whole_schema.config.phases.coverage.enabled = False
    return whole_schema


@pytest.fixture(scope="module")
def key() -> str:
    return Sender("write", "read", "export", "hold", "erase", "schema").key


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@some.parametrize()
@hypothesis_settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_call_answers_as_described(case: Any, key: str) -> None:
    _answers_as_described(case, key)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
@whole.parametrize()
@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_call_answers_as_described_at_every_edge_too(case: Any, key: str) -> None:
    _answers_as_described(case, key)


# Why a call that fits its description may be refused with 400: no schema can say it. None of them takes events.
UNSAID = {
    **dict.fromkeys(("find_events", "get_extract", "post_export", "post_statement"), "a query has a grammar"),
    **dict.fromkeys(("get_account", "post_report"), "of two days the last is not before the first"),
    "ask_erasure": "its subject names records of which something can be erased",
    "get_consistency": "of two sizes none is above that of the log",
    "register_schema": "a schema is one of JSON Schema, within bounds",
    "post_manifest": "its count is that of its numbers, or of its ids",
}


def _answers_as_described(case: Any, key: str) -> None:
    left_out: list[Any] = [positive_data_acceptance] if case.operation.definition.raw["operationId"] in UNSAID else []
    if "501" in case.operation.definition.raw["responses"]:
        left_out.append(not_a_server_error)  # refused, whatever is sent
    case.call_and_validate(headers={"Authorization": f"Bearer {key}"}, excluded_checks=left_out)


def described() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Client().get("/api/schema/", {"format": "json"}).content)
    return found


def test_the_description_is_made_once_whoever_asks_for_it_and_however(monkeypatch: pytest.MonkeyPatch) -> None:
    forms = {"yaml": "application/vnd.oai.openapi", "json": "application/vnd.oai.openapi+json"}
    first = {form: Client().get("/api/schema/", {"format": form}) for form in forms}
    monkeypatch.setattr(SchemaGenerator, "get_schema", lambda *_, **__: pytest.fail("it was made again"))
    for form, media_type in forms.items():
        again = Client().get("/api/schema/", {"lang": "de", "version": "2", "format": form})
        assert again.content == first[form].content and again.headers["Content-Type"].startswith(media_type)
        asked = Client().get("/api/schema/", headers={"Accept": f"{media_type}; indent=7"})
        assert asked.content == again.content and asked.headers["Content-Type"] == again.headers["Content-Type"]


def test_what_somebody_asks_for_first_is_in_no_description(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view, "_made", {})
    first = Client().get("/api/schema/", {"version": "forged", "lang": "forged"}, headers={"X-Forged": "forged"})
    assert first.status_code == 200
    assert b"forged" not in first.content and "forged" not in str(first.headers)


def test_every_call_has_a_group_and_a_title_and_every_group_its_calls() -> None:
    description = described()
    calls = {call["operationId"]: call for path in description["paths"].values() for call in path.values()}
    assert set(calls) == {name for group in groups.GROUPS for name in group.titles}
    assert [tag["name"] for tag in description["tags"]] == [group.name for group in groups.GROUPS]
    assert all(call["summary"] and call["tags"] for call in calls.values())


def test_what_stands_as_an_example_works_when_it_is_pasted() -> None:
    """In the order of the description: an event first, and then what is asked about it.

    By a writer of its own, about a correlation of its own: other tests send the examples, too.
    """
    description, correlation = described(), f"order-{secrets.token_hex(4)}"
    client = Client(headers={"Authorization": f"Bearer {Sender('write', 'read', 'export', 'hold', 'schema').key}"})
    seal.Sealer().once()  # an export, a statement and a report are of what is sealed
    calls = {
        call["operationId"]: (
            path.replace("{correlation_id}", correlation).replace("{source}", "cloudevents"),
            method,
            call,
        )
        for path, methods in description["paths"].items()
        for method, call in methods.items()
    }
    for name in examples.BODIES:
        path, method, call = calls[name]
        body = call["requestBody"]["content"]["application/json"]["example"]
        text = json.dumps(body).replace(examples.CORRELATION, correlation)
        answer = client.generic(method.upper(), path, text, "application/json")
        assert answer.status_code in (200, 201, 202), (name, answer.content)


def test_a_call_with_a_body_has_an_example_where_a_body_can_be_made_up() -> None:
    calls = [call for path in described()["paths"].values() for call in path.values() if "requestBody" in call]
    # No receipt can be made up, and no record of which something can be erased.
    assert {call["operationId"] for call in calls} - set(examples.BODIES) == {"verify_receipts", "ask_erasure"}


def test_the_paths_of_the_contract_are_described() -> None:
    paths = described()["paths"]
    assert {path: sorted(calls) for path, calls in paths.items()} == {
        "/api/v1/audit/events": ["get", "post"],
        "/api/v1/audit/events/batch": ["post"],
        "/api/v1/audit/events/{event_id}": ["get"],
        "/api/v1/audit/events/{event_id}/proof": ["get"],
        "/api/v1/audit/events/{event_id}/bundle": ["get"],
        "/api/v1/audit/notifications": ["post"],
        "/api/v1/audit/import/{source}": ["post"],
        "/api/v1/audit/import/kubernetes": ["post"],
        "/api/v1/audit/import/cloudevents": ["post"],
        "/api/v1/audit/import/otlp/v1/logs": ["post"],
        "/api/v1/audit/remediation-requests/{correlation_id}/reconstruct": ["post"],
        "/api/v1/effectiveness/{correlation_id}": ["get"],
        "/api/v1/remediation-history/context": ["get"],
        "/api/v1/audit/heartbeats": ["post"],
        "/api/v1/audit/manifests": ["post"],
        "/api/v1/audit/manifests/{key}": ["get"],
        "/api/v1/audit/receipts/verify": ["post"],
        "/api/v1/audit/receipts/keys": ["get"],
        "/api/v1/audit/export": ["get"],
        "/api/v1/audit/exports": ["post"],
        "/api/v1/audit/legal-hold": ["get", "post"],
        "/api/v1/audit/legal-hold/{correlation_id}": ["delete"],
        "/api/v1/audit/exports/{export_id}": ["get"],
        "/api/v1/audit/exports/{export_id}/cancel": ["post"],
        "/api/v1/audit/exports/{export_id}/resume": ["post"],
        "/api/v1/audit/exports/{export_id}/files/{name}": ["get"],
        "/api/v1/audit/erasures": ["get", "post"],
        "/api/v1/audit/erasures/{number}": ["get"],
        "/api/v1/audit/schemas": ["get", "post"],
        "/api/v1/audit/schemas/{event_type}": ["get"],
        "/api/v1/audit/schemas/{event_type}/{revision}": ["get"],
        "/api/v1/audit/reports": ["post"],
        "/api/v1/audit/reports/{report_id}": ["get"],
        "/api/v1/audit/reports/{report_id}/files/{name}": ["get"],
        "/api/v1/audit/reports/{report_id}/bundle": ["post"],
        "/api/v1/audit/statements": ["post"],
        "/api/v1/audit/statements/{statement_id}": ["get"],
        "/api/v1/audit/statements/{statement_id}/bundle": ["post"],
        "/api/v1/audit/account": ["get"],
        "/api/v1/audit/checkpoint": ["get"],
        "/api/v1/audit/checkpoint/keys": ["get"],
        "/api/v1/audit/checkpoints": ["get"],
        "/api/v1/audit/consistency": ["get"],
        "/api/v1/audit/tile/entries/{address}": ["get"],
        "/api/v1/audit/log/entries": ["get"],
        "/api/v1/audit/tile/{level}/{address}": ["get"],
        "/api/v1/audit/verify-chain": ["post"],
    }


def test_every_field_of_the_event_is_described_with_its_limit() -> None:
    body = described()["paths"]["/api/v1/audit/events"]["post"]["requestBody"]
    properties = body["content"]["application/json"]["schema"]["properties"]
    assert set(properties) == {*event.FIELDS, event.PARENT_DATE}
    assert properties["event_action"]["maxLength"] == event.limit("event_action")


def test_the_contract_page_names_every_field() -> None:
    page = (Path(__file__).parent.parent.parent / "docs" / "api.md").read_text(encoding="utf-8")
    assert [field for field in event.FIELDS if f"`{field}`" not in page] == []


texts = st.text(max_size=20)
scalars = (
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats() | texts | st.sampled_from(["\x00", "\ud800"])
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=12
)


@pytest.mark.slow
@pytest.mark.parametrize("examples", [200, pytest.param(2000, marks=pytest.mark.long)])
def test_what_is_accepted_is_stored_and_read_back_equal(examples: int) -> None:
    """So many generated events: each is refused by name, or comes back with the same digest."""
    drawn = given(st.dictionaries(texts, values, max_size=4), texts, st.datetimes())(_reads_back)
    hypothesis_settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))(drawn)()


def _reads_back(data: dict[str, Any], text: str, when: Any) -> None:
    document = an_event(event_data=data, error_message=text, event_timestamp=when.isoformat() + "Z")
    try:
        body = json.dumps(document).encode()
        accepted = accept(canonical.loads(body), writer="hypothesis")
    except (Invalid, canonical.NotCanonical):
        return
    assert store([accepted], timeout_s=20) == ["stored"]
    record = Record.objects.get(id=accepted.id)
    assert record.digest_holds
    assert canonical.canonical(record.document()) == accepted.body
