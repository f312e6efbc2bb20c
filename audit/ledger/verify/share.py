"""share: how much of the log was verified lately, by whatever runs. One run of the schedule covers a small part."""

from datetime import UTC, datetime, timedelta

from audit.ledger import reader
from audit.ledger.verify.result import Verdict
from audit.postgres import sql

DAYS = 30
_LEAVES = """
SELECT coalesce(sum(upper(span) - lower(span)), 0)::bigint FROM (
    SELECT unnest(range_agg(int8range(first, last))) AS span FROM audit_verification
    WHERE ended_at >= %s AND verdict = %s AND scope <> 'correlation' AND first < last
) AS spans
"""


def verified_share(now: datetime | None = None) -> tuple[int, int]:
    """Return how many leaves were found to be as they should in the last DAYS, each counted once, and how many are."""
    since = (now or datetime.now(UTC)) - timedelta(days=DAYS)
    [(leaves,)] = sql.rows(_LEAVES, [since, Verdict.VERIFIED.value], using="reader")
    return leaves, reader.signed_size("reader")
