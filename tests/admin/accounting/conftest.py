"""Lines of the balance, and samples of what was refused."""

import secrets
from datetime import UTC, datetime

from audit.accounting import queue_counts
from audit.models import Account, Passage, RejectedSample, Rejection


def a_line(**counts: int) -> str:
    """What is counted of a writer of its own, today."""
    writer, now = f"writer-{secrets.token_hex(4)}", datetime.now(UTC)
    Account.objects.create(day=now.date(), writer=writer, changed_at=now, direct=counts.pop("direct", 0))
    if reject := counts.pop("rejected", 0):
        Rejection.objects.create(day=now.date(), writer=writer, reason="unknown field", events=reject)
    if counts:
        Passage.objects.create(queue="tests", day=now.date(), writer=writer, first="1-1", copied_at=now, **counts)
    queue_counts.copy()
    return writer


def a_sample(body: bytes = b"{}") -> RejectedSample:
    writer, now = f"writer-{secrets.token_hex(4)}", datetime.now(UTC)
    return RejectedSample.objects.create(
        id=secrets.token_hex(16), at=now, writer=writer, reason="unknown field", detail="strange\x1b", body=body
    )
