"""The admin: what auditors, operators and administrators see."""

from audit.admin import (
    completeness,
    discards,
    episodes,
    log,
    parked,
    people,
    quarantine,
    receipts,
    records,
    verification,
    writers,
)

__all__ = [
    "completeness",
    "discards",
    "episodes",
    "log",
    "parked",
    "people",
    "quarantine",
    "receipts",
    "records",
    "verification",
    "writers",
]
