"""Decide when a message that failed is tried again. Pure."""

import random

MINUTE_S, HOUR_S = 60.0, 3600.0
# How long a message may stay in Redis: a reason to keep it elsewhere, never to lose it.
LONGEST_WAIT_S = 7 * 24 * HOUR_S
# The wait before each retry. Together 29 h 21 min of a database that was up and refused.
DELAYS_S = (1 * MINUTE_S, 5 * MINUTE_S, 15 * MINUTE_S, 1 * HOUR_S, 4 * HOUR_S, 24 * HOUR_S)
MAX_RETRIES = len(DELAYS_S)
JITTER_SHARE = 0.1
RELEASE_JITTER_S = 1.0
# More messages than this that a person retries at once come back over that many seconds, so that they stay apart.
RETRIED_AT_ONCE, SPREAD_S = 100, 60.0


def next_delay(attempts: int, rng: random.Random | None = None) -> float | None:
    """Return the seconds until the next try after `attempts` failed ones; None when all six are used up.

    Up to a tenth is added, so that what failed together is not tried together.
    """
    if attempts >= MAX_RETRIES:
        return None
    return DELAYS_S[attempts] * (1 + (rng or _rng).uniform(0, JITTER_SHARE))


def spread(count: int) -> list[float]:
    """Return the delay (s) of each of `count` messages that a person retries: few at once, many over a minute."""
    return [_rng.uniform(0, SPREAD_S) if count > RETRIED_AT_ONCE else 0.0 for _ in range(count)]


def release_delay() -> float:
    """Return the seconds after which what an outage met in a drain is due again, so that drains stay apart."""
    return _rng.uniform(0, RELEASE_JITTER_S)


# Of its own: whoever seeds or draws the random numbers of the whole process, as tests of properties do, is left alone.
_rng = random.Random()
