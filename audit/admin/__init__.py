"""The admin: what auditors, operators and administrators see."""

from audit.admin import (
    account,
    completeness,
    discards,
    episodes,
    log,
    parked,
    people,
    quarantine,
    records,
    verification,
    writers,
)

__all__ = [
    "account",
    "completeness",
    "discards",
    "episodes",
    "log",
    "parked",
    "people",
    "quarantine",
    "records",
    "verification",
    "writers",
]
