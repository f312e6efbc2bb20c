"""The rules of erasure that an acceptance knows: a change holds within seconds, an outage changes nothing."""

import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from audit.evidence.erasure.rules import save_rule
from audit.formats.event import accept
from audit.ingest import erasure_rules
from audit.models import ErasureRule, Record
from audit.postgres.gateway import gateway
from tests.audit.conftest import Sender, an_event


@pytest.fixture
def rule() -> Iterator[ErasureRule]:
    name = f"t{secrets.token_hex(6)}"
    made = ErasureRule(name=name, path="event_data.email", event_type=f"rules.{name}", reason="GDPR")
    assert save_rule(made, by="olga") == "created"
    yield made
    made.active = False
    save_rule(made, by="olga")


def known() -> None:
    """As a process that has just begun."""
    erasure_rules._known.__init__()  # type: ignore[misc]


def is_committed_to(rule: ErasureRule) -> bool:
    document = an_event(event_type=rule.event_type, event_data={"email": "zofie"})
    return accept(document, writer="w", erasing=erasure_rules.in_force()).beside is not None


def test_a_rule_holds_from_its_save_on_and_ends_when_it_is_switched_off(rule: ErasureRule) -> None:
    assert is_committed_to(rule)
    rule.active = False
    assert save_rule(rule, by="otto") == "changed"
    assert not is_committed_to(rule)
    acts = Record.objects.filter(correlation_id=f"erasure_rule-{rule.name}").order_by("event_timestamp")
    assert [(act.event_type, act.actor_id) for act in acts] == [
        ("audit.erasure_rule.created", "olga"),
        ("audit.erasure_rule.changed", "otto"),
    ]


def test_by_whichever_way_an_event_comes_the_rules_hold(rule: ErasureRule, service: Sender) -> None:
    erasure_rules.forget()
    document = an_event(event_type=rule.event_type, event_data={"email": "zofie"})
    event_id = service.post(document).json()["event_id"]
    assert Record.objects.get(pk=event_id).event_data == {"email": "$erasable"}
    shown = service.get(f"/api/v1/audit/events/{event_id}").json()
    assert shown["event_data"] == {"email": "zofie"}


@pytest.mark.slow
def test_in_an_outage_the_rules_hold_on_also_in_a_process_that_begins_then(rule: ErasureRule, postgres: Any) -> None:
    known()
    assert is_committed_to(rule)
    with postgres.stopped():
        erasure_rules.forget()
        assert is_committed_to(rule)
        known()
        assert is_committed_to(rule)
    assert gateway().breaker.wait_closed(20)
