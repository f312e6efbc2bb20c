"""Whether the first checkpoint may still be on its way outside: what anchor and witnesses have nothing of is not gone
then, and was not refused."""

from itertools import islice

from audit.ledger import anchor
from audit.postgres import sql

# The sealer looks for a checkpoint each second, and asks witnesses, which may take long, before it writes the anchor.
FIRST_S = 60.0
# A sealer publishes each checkpoint after the one before: where so many were cosigned, or are in the other anchor, the
# first of them was anchored, unless as many sealers run as that.
PUBLISHED = 5
_FIRST = """
SELECT extract(epoch FROM clock_timestamp() - created_at)::float8 FROM audit_checkpoint ORDER BY number LIMIT 1
"""
_COSIGNED = "SELECT count(*) FROM (SELECT DISTINCT checkpoint FROM audit_cosignature LIMIT %s) c"


def first_checkpoint(using: str) -> float | None:
    """Return how many seconds old the first checkpoint is, where it may not have been published yet, else None.

    By PostgreSQL's clock; a time in the future hides nothing.
    """
    rows = sql.rows(_FIRST, using=using)
    if not rows or not -FIRST_S <= rows[0][0] <= FIRST_S:
        return None
    [(cosigned,)] = sql.rows(_COSIGNED, [PUBLISHED], using)
    was_published = max(cosigned, sum(1 for _ in islice(anchor.anchored(), PUBLISHED))) >= PUBLISHED
    return None if was_published else max(rows[0][0], 0.0)
