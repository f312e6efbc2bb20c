"""The admin: what auditors, operators and administrators see."""

from audit.admin import log, parked, people, quarantine, records, verification, writers

__all__ = ["log", "parked", "people", "quarantine", "records", "verification", "writers"]
