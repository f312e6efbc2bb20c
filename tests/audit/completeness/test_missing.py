"""The simulation of `make missing`, small: the store finds exactly what never came."""

import secrets

import pytest
from django.test import override_settings

from bench.drills import missing


def test_a_plan_is_the_same_for_the_same_seed_but_for_its_ids() -> None:
    def numbers(made: missing.Plan) -> list[tuple[str, str, int]]:
        return [one[:3] for one in made.first]

    one, again, other = (missing.plan(seed, writers=4, events=4_000) for seed in (7, 7, 8))
    assert numbers(one) == numbers(again) != numbers(other)
    assert one.dropped == again.dropped


def test_whatever_was_made_is_sent_late_or_dropped() -> None:
    made = missing.plan(3, writers=6, events=6_000)
    numbers = {(*life, seq) for life, highest in made.beats.items() for seq in range(1, highest + 1)}
    sent = {one[:3] for one in [*made.first, *made.late]}
    assert sent | made.dropped == numbers
    assert not sent & made.dropped
    assert all(made.cases.values())


def test_precision_falls_with_what_is_found_wrongly_and_recall_with_what_is_not_found() -> None:
    assert missing.precision_and_recall({1, 2, 3, 4}, {1, 2}) == (0.5, 1.0)
    assert missing.precision_and_recall({1}, {1, 2}) == (1.0, 0.5)
    assert missing.precision_and_recall(set(), set()) == (1.0, 1.0)


@pytest.mark.slow
def test_exactly_what_never_came_is_found() -> None:
    made = missing.plan(1, writers=5, events=5_000, prefix=f"sim-{secrets.token_hex(4)}")
    with override_settings(GAP_GRACE_S=-1):
        missing.state_heartbeats(made)
        for portion in missing.portions(made.first):
            missing.send(portion)
            missing.follow()
        late = {one[:3] for one in made.late} - {one[:3] for one in made.first}
        assert missing.missing(made) == made.dropped | late
        for portion in missing.portions(made.late):
            missing.send(portion)
        missing.follow()
    assert missing.missing(made) == made.dropped
