"""The log entry of a record: everything that its leaf hash covers.

The entry is the RFC 8785 form of five members: the digest of the event, its id, and the times at which the store
received, parked and stored it. So the log holds no personal data, and no column of a record can change unnoticed.

The same hash is computed on purpose in five places that must agree: here and in audit/formats/canonical.py (the digest
within), in audit_leaf_hash() of audit/sql/0003_log.sql, and by auditors in verify.py and audit/verifier/records.js.
Tests hold them together.
"""

from audit.formats.merkle import leaf_hash


def entry(digest: bytes, event_id: str, received_at: str, parked_at: str | None, stored_at: str) -> bytes:
    """Return the leaf data, about 250 bytes. Times are like `2026-08-18T10:00:00.000000Z`, the id is UUID text."""
    parked = f'"{parked_at}"' if parked_at is not None else "null"
    return (
        f'{{"digest":"{digest.hex()}","event_id":"{event_id}","parked_at":{parked},'
        f'"received_at":"{received_at}","stored_at":"{stored_at}"}}'
    ).encode()


def leaf(digest: bytes, event_id: str, received_at: str, parked_at: str | None, stored_at: str) -> bytes:
    return leaf_hash(entry(digest, event_id, received_at, parked_at, stored_at))
