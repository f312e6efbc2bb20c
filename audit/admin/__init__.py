"""The admin: what auditors, operators and administrators see."""

from audit.admin import (
    access,
    completeness,
    discards,
    episodes,
    log,
    parked,
    people,
    quarantine,
    records,
    scopes,
    verification,
    writers,
)

__all__ = [
    "access",
    "completeness",
    "discards",
    "episodes",
    "log",
    "parked",
    "people",
    "quarantine",
    "records",
    "scopes",
    "verification",
    "writers",
]
