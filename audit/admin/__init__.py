"""The admin: what auditors, operators and administrators see."""

from audit.admin import log, parked, people, records, verification, writers

__all__ = ["log", "parked", "people", "records", "verification", "writers"]
