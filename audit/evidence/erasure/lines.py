"""lines: put values into the lines of a bundle, each with its salt beside it; what was erased with its basis. Or take
them out of its lines again."""

import json
from typing import Any

from audit.formats.erasable import commitments
from audit.formats.erasable.commitments import ERASED, MEMBER, SALTS
from audit.models.erasure.values import read_values

# What PostgreSQL writes for a record of which something can be erased.
_MARK = f'"{MEMBER}":{{'.encode()
# Columns of a line, NULL where nothing can be erased.
SALTS_COLUMN = """CASE WHEN r.erasable IS NOT NULL THEN coalesce((
    SELECT json_object_agg(path, json_build_array(encode(salt, 'hex'), value))
    FROM audit_erasable WHERE record_id = r.id), json_build_object()) END"""
ERASED_COLUMN = """CASE WHEN r.erasable IS NOT NULL THEN coalesce((
    SELECT json_object_agg(e.path, json_build_object('request', e.request_id, 'basis', q.basis, 'at',
        to_char(e.erased_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')))
    FROM audit_erased e JOIN audit_erasurerequest q ON q.id = e.request_id
    WHERE e.record_id = r.id AND audit_is_approved(e.request_id)), json_build_object()) END"""


def opened(lines: bytes) -> bytes:
    """Return the lines with values in their places; `salts` has come with salt and value of each path."""
    if _MARK not in lines:
        return lines
    return b"".join(_opened(line) if _MARK in line else line for line in lines.splitlines(keepends=True))


def closed(line: bytes) -> bytes:
    """Return a line as its digest covers it: commitments in the place of values, and nothing beside the event."""
    if _MARK not in line:
        return line
    record: dict[str, Any] = json.loads(line)
    record.pop(SALTS, None)
    record.pop(ERASED, None)
    made: dict[str, str] = record[MEMBER] or {}
    commitments.replace(record, [commitments.place_of(record, path) for path in made], made)
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _opened(line: bytes) -> bytes:
    record: dict[str, Any] = json.loads(line)
    if not record[MEMBER]:
        return line  # the mark was in a text
    beside = read_values(json.dumps(record[SALTS]))
    shown = commitments.opened(record, beside)
    shown[SALTS] = {path: kept.salt.hex() for path, kept in sorted(beside.items())}
    shown[ERASED] = dict(sorted(record[ERASED].items()))
    return json.dumps(shown, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
