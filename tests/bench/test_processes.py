"""What processes do not gain is taken apart into factors that explain all of it."""

import pytest

from bench.ingest.processes import REST, Spent, factors


def spent(events: int, seconds: float, **parts: float) -> Spent:
    found = Spent()
    found.add(events, seconds, parts)
    return found


ONE = spent(5_000, 5.0, ingest=4.5, postgres=1.5)


def test_the_factors_make_the_gain() -> None:
    two = spent(7_000, 5.0, ingest=6.6, postgres=2.4)
    found = factors(ONE, two, 2, cores=2)
    assert found.gain == pytest.approx(1.4)
    assert found.gain == pytest.approx(2 * found.cores * found.waits * found.dearer)
    # Two would keep 2.4 cores busy; 1.8 were, and an event cost 1,286 microseconds in place of 1,200.
    assert (found.cores, found.waits) == (pytest.approx(2 / 2.4), pytest.approx(0.9))
    assert found.dearer == pytest.approx(1_200 / 1_285.7, rel=1e-3)


def test_where_there_are_cores_enough_only_waits_and_dearer_events_are_left() -> None:
    found = factors(ONE, spent(9_000, 5.0, ingest=8.1, postgres=2.7), 2, cores=16)
    assert (found.cores, found.waits, found.dearer) == (1.0, pytest.approx(0.9), pytest.approx(1.0))


def test_one_process_gains_nothing_over_itself() -> None:
    found = factors(ONE, ONE, 1, cores=2)
    assert (found.gain, found.cores, found.waits, found.dearer) == (1.0, 1.0, 1.0, 1.0)


def test_what_else_runs_is_told_a_second() -> None:
    found = spent(1_000, 2.0, **{"ingest": 1.0, REST: 0.25})
    assert found.busy == pytest.approx(0.75) and found.micros(REST) == pytest.approx(500)


def test_rounds_are_counted_together() -> None:
    found = spent(1_000, 1.0, ingest=1.0)
    assert found.add(500, 1.0, {"ingest": 0.5}) == 500.0
    assert found.rates == [1_000.0, 500.0] and found.rate == 750.0
    assert found.micros("ingest") == pytest.approx(1_000)
