"""What `make bench-client` says of its medians."""

from math import comb

import pytest

from bench.client.service import by_chance


@pytest.mark.parametrize("count", [6, 7, 15, 21, 60, 240])
def test_the_interval_of_a_median_is_the_narrowest_that_holds_it_in_95_of_100_runs(count: int) -> None:
    within = by_chance([float(place) for place in range(count)])
    assert within is not None
    aside = int(within[0])
    assert within == (aside, count - 1 - aside)

    def outside(places: int) -> float:
        return 2 * sum(comb(count, below) for below in range(places + 1)) / 2**count

    assert outside(aside) <= 0.05 < outside(aside + 1)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_of_fewer_than_six_values_nothing_is_said(count: int) -> None:
    assert by_chance([1.0] * count) is None
