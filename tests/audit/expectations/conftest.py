"""Rules of tests: each about event types of its own, and switched off when its test is over."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from audit.expectations import rules
from audit.models import Expectation, Unmet

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
