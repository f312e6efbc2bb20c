"""The admin: what auditors, operators and administrators see."""

from audit.admin import discards, episodes, log, parked, people, quarantine, records, verification, writers

__all__ = ["discards", "episodes", "log", "parked", "people", "quarantine", "records", "verification", "writers"]
