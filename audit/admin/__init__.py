"""The admin: what auditors, operators and administrators see."""

from audit.admin import (
    completeness,
    coverage,
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
    "completeness",
    "coverage",
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
