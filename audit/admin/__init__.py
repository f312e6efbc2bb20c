"""The admin: what auditors, operators and administrators see."""

from audit.admin import (
    account,
    completeness,
    coverage,
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
    "coverage",
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
