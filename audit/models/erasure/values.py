"""What stands beside records of which something can be erased: audit/sql/0070_erasable.sql."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from audit.formats import times
from audit.formats.erasable import commitments
from audit.formats.erasable.kept import Kept
from audit.formats.redaction import DATA
from audit.postgres import sql

_VALUES = "SELECT record_id, path, salt, value FROM audit_erasable WHERE record_id = ANY(%s)"
# Without an approval it is not erased, whatever stands in the table.
_ERASED = """
SELECT e.record_id, e.path, e.request_id, r.basis, e.erased_at
FROM audit_erased e JOIN audit_erasurerequest r ON r.id = e.request_id
WHERE e.record_id = ANY(%s) AND audit_is_approved(e.request_id)
"""


class Erased(NamedTuple):
    """That a value was erased: by which request, under which legal basis, when."""

    request: int
    basis: str
    at: str

    def as_json(self) -> dict[str, Any]:
        return self._asdict()

    @property
    def words(self) -> str:
        return f"erased under {self.basis} on {self.at[:10]}"


class Values(NamedTuple):
    """What stands beside a record, by path: salts and values, and what was erased of them."""

    beside: Mapping[str, Kept] = {}
    erased: Mapping[str, Erased] = {}

    def put_into(self, document: dict[str, Any]) -> dict[str, Any]:
        """Return the event with its values in their places, its salts beside them, and what was erased."""
        shown: dict[str, Any] = commitments.opened(document, self.beside)
        shown[commitments.SALTS] = {path: kept.salt.hex() for path, kept in sorted(self.beside.items())}
        shown[commitments.ERASED] = {path: erased.as_json() for path, erased in sorted(self.erased.items())}
        return shown

    def in_words(self, document: dict[str, Any]) -> dict[str, Any]:
        """Return the event as pages show it: with its values, and words where one was erased."""
        shown: dict[str, Any] = commitments.opened(document, self.beside)
        for path, erased in self.erased.items():
            commitments.put(shown, path, {path: erased.words} if path == DATA else erased.words)
        return shown


NONE = Values()


def values_of(ids: Sequence[UUID], using: str) -> dict[UUID, Values]:
    """Return what stands beside each of these records; nothing for those of which nothing can be erased."""
    found: dict[UUID, Values] = {}
    if not ids:
        return found
    for record_id, path, salt, value in sql.rows(_VALUES, [list(ids)], using):
        beside: Any = found.setdefault(record_id, Values({}, {})).beside
        beside[path] = Kept(bytes(salt), value.encode())
    for record_id, path, request, basis, at in sql.rows(_ERASED, [list(ids)], using):
        erased: Any = found.setdefault(record_id, Values({}, {})).erased
        erased[path] = Erased(request, basis, times.timestamp_text(at))
    return found


def read_values(salts_and_values: str | None) -> dict[str, Kept]:
    """Read what a statement has aggregated as {path: [salt in hex, value]}."""
    found = json.loads(salts_and_values or "{}")
    return {path: Kept(bytes.fromhex(salt), value.encode()) for path, (salt, value) in found.items()}
