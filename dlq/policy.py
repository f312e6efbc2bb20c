"""When a message that failed is tried again. Pure."""

import random

MINUTE, HOUR = 60.0, 3600.0
LONGEST_WAIT = 7 * 24 * HOUR
"""Seconds that a message may stay in Redis: a reason to keep it elsewhere, never to lose it."""
DELAYS = (1 * MINUTE, 5 * MINUTE, 15 * MINUTE, 1 * HOUR, 4 * HOUR, 24 * HOUR)
"""Seconds before each retry. Together 29 h 21 min of a database that was up and refused."""
MAX_RETRIES = len(DELAYS)
JITTER = 0.1
FEW, SPREAD = 100, 60.0
"""More than a few that a person retries come back over this many seconds: what failed together stays apart."""


def next_delay(attempts: int, rng: random.Random | None = None) -> float | None:
    """Seconds until the next try after `attempts` failed ones; None when all six are used up.

    Up to a tenth is added, so that what failed together is not tried together.
    """
    if attempts >= MAX_RETRIES:
        return None
    return DELAYS[attempts] * (1 + (rng or _rng).uniform(0, JITTER))


def spread(count: int) -> list[float]:
    """Seconds from now for each of `count` messages that a person retries: few at once, many over a minute."""
    return [_rng.uniform(0, SPREAD) if count > FEW else 0.0 for _ in range(count)]


_rng = random.Random()
