"""The account at the end of a drill: every promise held against the store, record by record."""

from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

import psycopg
import redis

from audit.formats import canonical, event
from bench.fleet import Fleet
from bench.load import Ledger, wait_until

ROWS = f"""
SELECT id, digest, json_strip_nulls(json_build_object('event_id', id, 'writer', writer,
    'parent_event_id', parent_event_id,
    'event_timestamp', to_char(event_timestamp AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    {
    ", ".join(
        f"'{name}', {name}"
        for name in event.FIELDS
        if name not in ("event_id", "parent_event_id", "event_timestamp", "event_data")
    )
}))::text,
    event_data::text
FROM audit_record WHERE writer = 'drill'
"""


@dataclass
class Verdict:
    """The comparison of every promise with the store."""

    stored: int = 0
    lost: set[UUID] = field(default_factory=set)
    duplicated: int = 0
    altered: set[UUID] = field(default_factory=set)
    unpromised: int = 0
    verification: str = ""
    """The last line of `manage.py verify`, once all is sealed."""

    @property
    def whole(self) -> bool:
        """Nothing lost, duplicated or altered, and the log verified."""
        return self.verification == "VERIFIED" and not (self.lost or self.duplicated or self.altered)


class Store(Protocol):
    """What was drilled."""

    def address(self) -> str:
        """Its database, as an administrator of PostgreSQL."""

    def manage(self, *arguments: str) -> str:
        """Run a management command; return what it printed."""


def compare(store: Store, ledger: Ledger) -> Verdict:
    """Read every record back, compute its digest anew from the columns, and look for every promise."""
    verdict = Verdict()
    seen: set[UUID] = set()
    with psycopg.connect(store.address()) as connection:
        for record_id, digest, document, data in connection.execute(ROWS):
            verdict.stored += 1
            verdict.duplicated += record_id in seen
            seen.add(record_id)
            whole = canonical.loads(document.encode()) | {"event_data": canonical.loads(data.encode())}
            computed = canonical.digest(canonical.canonical(whole))
            if not computed == digest == ledger.digests.get(record_id):
                verdict.altered.add(record_id)
    verdict.lost = ledger.acknowledged.keys() - seen
    verdict.unpromised = len(seen - ledger.acknowledged.keys())
    verdict.verification = _verify(store)
    return verdict


def depth(fleet: Fleet) -> int:
    """Messages in the queue; 1 where Redis does not say."""
    try:
        with redis.Redis.from_url(fleet.redis.url()) as client:
            return int(client.xlen("{dlq}:s"))
    except redis.RedisError:
        return 1


def _verify(store: Store) -> str:
    """Wait until the sealer is through, then verify the whole log."""
    with psycopg.connect(store.address(), autocommit=True) as connection:
        waiting = "SELECT count(*) FROM audit_unsealed"
        wait_until(lambda: connection.execute(waiting).fetchone() == (0,), seconds=120, what="the sealer")
    return store.manage("verify").splitlines()[-1]
