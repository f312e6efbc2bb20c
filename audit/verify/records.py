"""One record beside its leaf: recomputed from the row, as fast as it goes."""

from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from django.db import connections

from audit import canonical, entry, event
from audit.canonical import NotCanonical
from audit.event import timestamp_text
from audit.models import Record

MEMBERS = ("event_id", "writer", *(name for name in event.FIELDS if name != "event_id"))
COLUMNS = ", ".join(f"r.{name}" for name in ("id", *MEMBERS[1:], "digest", "received_at", "parked_at", "stored_at"))


class Row(NamedTuple):
    """A leaf, and the record that it stands for where there is one."""

    leaf_index: int
    record_id: UUID
    leaf_hash: bytes
    record: tuple[Any, ...] | None


def fetch(sql: str, parameters: list[Any], using: str = "reader") -> list[Row]:
    """Run a statement that selects leaf index, record id, leaf hash and COLUMNS."""
    with connections[using].cursor() as cursor:
        cursor.execute(sql, parameters)
        return [
            Row(row[0], row[1], row[2], row[3:] if row[3] is not None else None) for row in cursor.cursor.fetchall()
        ]


def fault(row: Row) -> str | None:
    """Why the record is not what was sealed; None where it is. The record must be there."""
    assert row.record is not None
    *members, digest, received_at, parked_at, stored_at = row.record
    try:
        computed = canonical.digest(canonical.canonical(_document(members)))
    except (NotCanonical, ValueError, TypeError) as error:
        return f"its content has no canonical form any more: {str(error)[:200]}"
    if computed != digest:
        return "its content is not what was accepted: the digest computed from the row is another one"
    if entry.leaf(digest, str(row.record_id), received_at, parked_at, stored_at) != row.leaf_hash:
        return "its digest or one of its times (received, parked, stored) is not what was sealed"
    return None


def recomputed(record: Record) -> bytes:
    """The leaf hash that a record has now."""
    try:
        digest = canonical.digest(canonical.canonical(record.document()))
    except NotCanonical:
        return b""
    return entry.leaf(digest, str(record.id), record.received_at, record.parked_at, record.stored_at)


def _document(members: list[Any]) -> dict[str, Any]:
    """The event as it was accepted, from the columns of the row."""
    found = {name: value for name, value in zip(MEMBERS, members, strict=True) if value is not None}
    found["event_id"] = str(found["event_id"])
    found["event_timestamp"] = timestamp_text(found["event_timestamp"])
    if "parent_event_id" in found:
        found["parent_event_id"] = str(found["parent_event_id"])
    data = found["event_data"]
    # Django has PostgreSQL's JSON come as text; json.loads is what models.Record reads it with, only slower.
    found["event_data"] = msgspec.json.decode(data) if isinstance(data, str) else data
    return found
