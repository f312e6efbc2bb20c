"""The admin: what auditors, operators and administrators see."""

from audit.admin import parked, people, records, writers

__all__ = ["parked", "people", "records", "writers"]
