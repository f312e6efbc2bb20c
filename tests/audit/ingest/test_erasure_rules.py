"""The rules of erasure that an acceptance knows: a change holds within seconds, an outage changes nothing."""

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

import dlq.client
import dlq.stream
from audit import tasks
from audit.errors import RulesUnknown
from audit.evidence.erasure.rules import save_rule
from audit.formats.event import accept
from audit.ingest import erasure_rules, signed_copies
from audit.models import ErasureRule, Record
from audit.postgres.gateway import gateway
from audit.queue import drain
from auditclient.contract import Signer
from tests.audit.conftest import Sender, an_event, with_id


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


def lose_the_copy() -> None:
    queue = dlq.stream.for_drain()
    queue.redis.delete(dlq.client.app_key("audit", erasure_rules.COPY))


def test_the_copy_is_there_without_any_rule_and_is_put_again_each_minute(own_queue: None) -> None:
    for publish in (erasure_rules.in_force, tasks.publish_keys):
        lose_the_copy()
        known()
        publish()
        entry = signed_copies.get(erasure_rules.COPY)
        assert entry is not None and erasure_rules._opened(entry) is not None


def test_a_rule_is_in_the_copy_once_it_is_saved(own_queue: None, rule: ErasureRule) -> None:
    entry = signed_copies.get(erasure_rules.COPY)
    assert entry is not None and rule.name in (erasure_rules._opened(entry) or b"").decode()


@pytest.mark.slow
def test_what_begins_in_an_outage_takes_no_event_before_it_knows_the_rules(
    rule: ErasureRule, own_queue: None, service: Sender, postgres: Any
) -> None:
    document = with_id(event_type=rule.event_type, event_data={"email": "zofie"})
    queue = dlq.stream.for_drain()
    tasks.publish_keys()
    assert service.post(an_event()).status_code == 201
    queue.redis.rpush(queue.keys.inbox, Signer(service.key).entry(json.dumps(document).encode()))
    whole = signed_copies.get(erasure_rules.COPY)
    assert whole is not None
    with postgres.stopped():
        for spoilt in (None, b"", b"no signature", whole[:-1], whole.replace(rule.name.encode(), b"another")):
            lose_the_copy()
            if spoilt is not None:
                signed_copies.put(erasure_rules.COPY, spoilt)
            known()
            with pytest.raises(RulesUnknown):
                erasure_rules.in_force()
        known()
        answer = service.post(document)
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
        assert "rules of erasure are not known" in answer.json()["detail"] and "Retry-After" in answer
        assert drain.empty_inbox() == 0 and queue.inbox.depth() == 1, "it waits, and is not dead"
        signed_copies.put(erasure_rules.COPY, whole)
        known()
        assert service.post(document).status_code == 202
    assert gateway().breaker.wait_closed(20)
    drain.drain(seconds=20)
    assert Record.objects.get(pk=document["event_id"]).event_data == {"email": "$erasable"}
    assert queue.inbox.depth() == 0
