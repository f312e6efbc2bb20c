"""Verify one record against its leaf: recompute both from the row, as fast as possible."""

import json
from collections.abc import Generator
from contextlib import closing
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from audit.formats import canonical, entry, event
from audit.formats.canonical import NotCanonical
from audit.formats.erasable import commitments
from audit.formats.erasable.commitments import MEMBER
from audit.formats.times import timestamp_text
from audit.models import Record
from audit.models.erasure.values import read_values
from audit.postgres import portions

MEMBERS = ("event_id", "writer", *(name for name in event.FIELDS if name != "event_id"), MEMBER)
TIMES = ("received_at", "parked_at", "stored_at")
# As text, for PostgreSQL writes ids and times faster than Python reads them and writes them again.
_AS_TEXT = ("event_timestamp", "parent_event_id", *TIMES)
_TEXTS = {"event_id": "r.id::text"} | {name: f"r.{name}::text" for name in _AS_TEXT}
TIME = MEMBERS.index("event_timestamp")
DIGEST = len(MEMBERS)  # where the digest stands in the columns; the three times follow it, and what stands beside
VALUES = DIGEST + 1 + len(TIMES)
# Salts and values, and which were erased with an approval; NULL for a record of which nothing can be erased.
_BESIDE = """
CASE WHEN r.erasable IS NOT NULL THEN (
    SELECT json_object_agg(path, json_build_array(encode(salt, 'hex'), value))::text
    FROM audit_erasable WHERE record_id = r.id) END,
CASE WHEN r.erasable IS NOT NULL THEN ARRAY(
    SELECT path::text FROM audit_erased WHERE record_id = r.id AND audit_is_approved(request_id)) END
"""
COLUMNS = ", ".join([*(_TEXTS.get(name, f"r.{name}") for name in (*MEMBERS, "digest", *TIMES)), _BESIDE])

OTHER_ENTRY = "its digest or one of its times (received, parked, stored) is not what was sealed"
# Of a record so many values are named that are not what they were.
VALUES_NAMED = 10


class LeafRow(NamedTuple):
    """A leaf with its record, None where that is gone; no hash for a record that has no leaf."""

    leaf_index: int
    record_id: UUID
    leaf_hash: bytes
    record: tuple[Any, ...] | None


class Checked(NamedTuple):
    """What is left of a leaf and its record once they were compared."""

    leaf_index: int
    record_id: UUID
    leaf_hash: bytes  # of a record that has no leaf: that which its leaf is to have
    is_here: bool  # whether there is a record
    fault: str | None
    event_timestamp: str

    @property
    def is_lost(self) -> bool:
        """Whether its fault is that a value is gone, and nothing of the event itself was changed."""
        return self.fault is not None and commitments.MISSING in self.fault


def fetch(sql: str, parameters: list[Any], using: str = "reader") -> Generator[LeafRow, None, None]:
    """Run a statement that selects leaf index, record id, leaf hash and COLUMNS; yield its rows as they come."""
    for row in portions.stream(sql, parameters, using):
        yield LeafRow(row[0], row[1], row[2], row[3:] if row[3] is not None else None)


def check_each(sql: str, parameters: list[Any], using: str = "reader", most: int | None = None) -> list[Checked]:
    """Run such a statement, and compare each row as it comes; with `most`, until they have so many bytes."""
    # Only what is left of them is kept: the records of a few thousand leaves may have gigabytes.
    checked, size = [], 0
    with closing(fetch(sql, parameters, using)) as rows:
        for row in rows:
            checked.append(_checked(row))
            size += sum(len(value) for value in row.record or () if isinstance(value, str))
            if most is not None and size >= most:
                break
    return checked


def _checked(row: LeafRow) -> Checked:
    if row.record is None:
        return Checked(row.leaf_index, row.record_id, row.leaf_hash, False, None, "")
    if not row.leaf_hash:
        return Checked(row.leaf_index, row.record_id, _leaf(row.record), True, altered(row), row.record[TIME])
    return Checked(row.leaf_index, row.record_id, row.leaf_hash, True, fault(row), row.record[TIME])


def fault(row: LeafRow) -> str | None:
    """Return why the record is not what was sealed; None where it is. The record must exist."""
    if (reason := altered(row)) is not None:
        return reason
    assert row.record is not None
    return None if _leaf(row.record) == row.leaf_hash else OTHER_ENTRY


def _leaf(record: tuple[Any, ...]) -> bytes:
    """Compute the leaf hash of a record from its digest and its times, as they are in the row."""
    event_id, (digest, *times) = record[0], record[DIGEST:VALUES]
    received_at, parked_at, stored_at = (text and rfc3339(text) for text in times)
    return entry.leaf(digest, event_id, received_at, parked_at, stored_at)


def altered(row: LeafRow) -> str | None:
    """Return why the record is not what was accepted, sealed or not; None where it is. The record must exist."""
    assert row.record is not None
    try:
        computed = canonical.digest(_canonical(list(row.record[:DIGEST])))
    except (NotCanonical, ValueError, TypeError) as error:
        return f"its content has no canonical form any more: {str(error)[:200]}"
    if computed != row.record[DIGEST]:
        return "its content is not what was accepted: the digest computed from the row is another one"
    return _faults_of_values(*row.record[MEMBERS.index(MEMBER) : DIGEST], *row.record[VALUES:])


def _faults_of_values(named: str | None, beside: str | None, erased: list[str] | None) -> str | None:
    """Return what is wrong with values that can be erased; None where each is here, or was erased with an approval."""
    if named is None:
        return None
    found = commitments.faults(json.loads(named), read_values(beside), erased or [])
    return "; ".join(f"{path} {fault}" for path, fault in islice(found, VALUES_NAMED)) or None


def recomputed(record: Record) -> bytes:
    try:
        digest = canonical.digest(canonical.canonical(record.document()))
    except NotCanonical:
        return b""
    return entry.leaf(digest, *entry_members(record))


def entry_members(record: Record) -> tuple[str, str, str | None, str]:
    """Return what the log entry has of a record besides its digest: id, received, parked, stored."""
    parked_at = None if record.parked_at is None else timestamp_text(record.parked_at)
    return str(record.id), timestamp_text(record.received_at), parked_at, timestamp_text(record.stored_at)


def rfc3339(text: str) -> str:
    """Rewrite PostgreSQL's `2026-08-18 10:00:00.5+00` (in UTC) as the API does: `2026-08-18T10:00:00.500000Z`."""
    moment = text.removesuffix("+00").replace(" ", "T", 1)
    whole, _, fraction = moment.partition(".")
    return f"{whole}.{fraction:0<6}Z"


def _canonical(members: list[Any]) -> bytes:
    members_by_name = {name: value for name, value in zip(MEMBERS, members, strict=True) if value is not None}
    members_by_name["event_timestamp"] = rfc3339(members_by_name["event_timestamp"])
    if MEMBER in members_by_name:
        members_by_name[MEMBER] = json.loads(members_by_name[MEMBER])
    data: str = members_by_name["event_data"]
    if data.isascii():
        try:
            members_by_name["event_data"] = _WITHOUT_FLOATS.decode(data)
            return canonical.plain(members_by_name)
        except _HasFloat:
            pass
    members_by_name["event_data"] = msgspec.json.decode(data)
    return canonical.canonical(members_by_name)


class _HasFloat(Exception):
    """A float needs the slow path, which writes it as RFC 8785 does."""


def _refuse_float(text: str) -> float:
    raise _HasFloat


_WITHOUT_FLOATS = msgspec.json.Decoder(float_hook=_refuse_float)
