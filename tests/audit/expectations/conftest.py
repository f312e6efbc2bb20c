"""Rules of tests: each about event types of its own, and switched off when its test is over."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import uuid_utils.compat
from django.test import override_settings

from audit.completeness import reconcile
from audit.expectations import rules
from audit.formats import times as formats_times
from audit.ledger import seal
from audit.models import Expectation, Unmet
from tests.audit.conftest import Sender, an_event

MakeRule = Callable[..., Expectation]


@contextmanager
def rule_maker() -> Iterator[MakeRule]:
    """Makes rules of a kind: `x` is followed by `y` within a minute, where nothing else is said."""
    made: list[Expectation] = []

    def make(kind: str = "followed", **changes: Any) -> Expectation:
        word = f"t{secrets.token_hex(4)}"
        asks: dict[str, Any] = {"when_types": [f"{word}.x"], "expect_types": [f"{word}.y"], "within_s": 60}
        if kind == "rate":
            asks = {"expect_types": [f"{word}.y"], "least": 2}
        rule = Expectation(**{"name": word, "kind": kind, "why": "A test asks.", **asks, **changes})
        rule.full_clean()
        rules.save(rule, by="ann")
        made.append(rule)
        return rule

    try:
        yield make
    finally:
        Expectation.objects.filter(pk__in=[one.pk for one in made]).update(active=False)


def found(rule: Expectation) -> list[Unmet]:
    """What was found to be unmet, in the order in which it began."""
    return list(Unmet.objects.filter(expectation=rule).order_by("since", "id"))


BEGAN = datetime(2026, 8, 18, 10, tzinfo=UTC)


@pytest.fixture
def sender() -> Sender:
    return Sender("write")


@pytest.fixture
def rule() -> Iterator[MakeRule]:
    with rule_maker() as make:
        yield make


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No grace, and others' messages in the queue are no reason to wait."""
    monkeypatch.setattr(reconcile, "LONGEST_WAIT", timedelta(0))
    with override_settings(GAP_GRACE_S=0):
        yield


def follow() -> None:
    while seal.Sealer().once().more:
        pass
    reconcile.reconcile()


def at(seconds: float) -> str:
    return formats_times.timestamp_text(BEGAN + timedelta(seconds=seconds))


def an(rule: Expectation, letter: str, seconds: float = 0, *, of: str, **changes: Any) -> dict[str, Any]:
    """An event of the rule's own types, so many seconds after the beginning."""
    word = rule.name
    made = {"event_type": f"{word}.{letter}", "event_timestamp": at(seconds), "correlation_id": of}
    return an_event(event_id=str(uuid_utils.compat.uuid7()), **made, **changes)


def correlation() -> str:
    return f"rr-{secrets.token_hex(6)}"
