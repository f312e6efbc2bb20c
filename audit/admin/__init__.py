"""The admin: what auditors, operators and administrators see."""

from audit.admin import (
    account,
    completeness,
    discards,
    episodes,
    expectations,
    log,
    parked,
    people,
    quarantine,
    receipts,
    records,
    unmet,
    verification,
    writers,
)

__all__ = [
    "account",
    "completeness",
    "discards",
    "episodes",
    "expectations",
    "log",
    "parked",
    "people",
    "quarantine",
    "receipts",
    "records",
    "unmet",
    "verification",
    "writers",
]
