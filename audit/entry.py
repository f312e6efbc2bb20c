"""The entry of the log for one record: all that a leaf covers. Pure: for auditors to read, no Django.

The entry is the RFC 8785 form of five members: the digest of the event, its id, and the three times at which the
store received, parked and stored it. So the log holds no personal data, and no column of a record can change unseen.
SQL computes the same in audit_leaf_hash() (audit/sql/0003_log.sql); a test holds the two together.
"""

from datetime import UTC, datetime

from audit.merkle import leaf_hash


def entry(
    digest: bytes, event_id: str, received_at: datetime, parked_at: datetime | None, stored_at: datetime
) -> bytes:
    """The leaf data, about 250 bytes of canonical JSON. `event_id` is a UUID as text."""
    parked = f'"{_text(parked_at)}"' if parked_at is not None else "null"
    return (
        f'{{"digest":"{digest.hex()}","event_id":"{event_id}","parked_at":{parked},'
        f'"received_at":"{_text(received_at)}","stored_at":"{_text(stored_at)}"}}'
    ).encode()


def leaf(digest: bytes, event_id: str, received_at: datetime, parked_at: datetime | None, stored_at: datetime) -> bytes:
    """The leaf hash, 32 bytes."""
    return leaf_hash(entry(digest, event_id, received_at, parked_at, stored_at))


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
