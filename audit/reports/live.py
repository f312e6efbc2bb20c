"""live: how things stand while a report is made. No checkpoint fixes this, so the digest does not cover it."""

from datetime import UTC, datetime
from typing import Any

import dlq.errors
import dlq.stream
from audit.completeness import summary
from audit.ledger import reader
from audit.models import Finding


def look() -> dict[str, Any]:
    """In words and numbers."""
    head = reader.head("default")
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "lines": [
            ["Records in the log", head.size if head else 0],
            ["Findings that are still so", Finding.objects.still_so().count()],
            ["Events waiting in the dead letter queue", _waiting()],
            ["Completeness", summary.summarize().sentence],
        ],
    }


def _waiting() -> int | str:
    try:
        stats = dlq.stream.for_drain().totals.stats()
    except dlq.errors.Refused:
        return "not known: Redis does not answer"
    return stats.depth
