"""Days of a test's own: what is counted, found or signed by the day is not mixed with what other tests did.

Drawn at random, one of fifty days among ten thousand is another test's in one session of ten.
"""

from datetime import date, timedelta

# Before all that tests record of today, in sections that do not meet: what is found on a day is open on later ones.
QUIET, EARLY, LATE = date(1970, 1, 1), date(1971, 1, 1), date(2008, 1, 1)
_next = {first: first for first in (QUIET, EARLY, LATE)}


# What a test does on the days after its own is its own, too.
AFTER = timedelta(days=9)


def own_days(count: int = 1, *, since: date = EARLY) -> date:
    """The first of `count` days that no other test of this process has; each process has a store of its own.

    `since` is QUIET, before all that any test has found; EARLY; or LATE, with the days of the others behind.
    """
    first = _next[since]
    _next[since] = first + timedelta(days=count) + AFTER
    return first
