"""A soak tells growth from noise."""

import pytest

from bench.ingest.soak import Look, Soak

MINUTES = 60


def soaked(memory: list[float]) -> Soak:
    """A run in which a service held so much, a value a minute."""
    soak = Soak.__new__(Soak)
    soak.looks = [Look(minute, "web", held, 40.0, 60.0) for minute, held in enumerate(memory)]
    return soak


@pytest.mark.parametrize(
    "memory",
    [
        [400.0] * MINUTES,
        [300.0 + min(minute, 9) * 10 for minute in range(MINUTES)],
        [400.0 + 30 * (minute % 2) for minute in range(MINUTES)],
    ],
    ids=["flat", "warming up", "noisy"],
)
def test_what_only_warms_up_or_sways_is_flat(memory: list[float]) -> None:
    assert soaked(memory).grown() == []


def test_two_megabytes_a_minute_are_told() -> None:
    (line,) = soaked([400.0 + 2 * minute for minute in range(MINUTES)]).grown()
    assert line.startswith("memory of web: ")
