"""Scenes of retention: records of any age, floors by days, and who asks and approves."""

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connections

from audit.formats import canonical, event
from audit.formats.erasable.rules import Rule, Rules
from audit.ledger.seal import Sealer
from audit.models import Record, RetentionRequest
from audit.retention import policy, purge
from tests.audit.conftest import an_event

ANN, BEN = "ann", "ben"
RULES = Rules([Rule(name="mail", path="event_data.email", reason="r"), Rule(name="ip", path="actor_ip", reason="r")])
DAY = timedelta(days=1)
NO_ARCHIVE = "a test that is not about archives"
COLUMNS = (
    *("writer", "version", "event_type", "event_timestamp", "event_category", "event_action", "event_outcome"),
    *("correlation_id", "event_data", "actor_type", "actor_id", "actor_ip", "resource_type", "resource_id"),
    *("retention_days", "is_sensitive", "severity", "erasable"),
)
INSERT = f"""
WITH stored AS (
    INSERT INTO audit_record (id, {", ".join(COLUMNS)}, digest, received_at, stored_at)
    SELECT event_id, {", ".join(COLUMNS)}, %s, %s, %s
    FROM json_to_record(%s) AS (event_id uuid, writer text, version text, event_type text, event_timestamp timestamptz,
        event_category text, event_action text, event_outcome text, correlation_id text, event_data jsonb,
        actor_type text, actor_id text, actor_ip text, resource_type text, resource_id text, retention_days integer,
        is_sensitive boolean, severity text, erasable jsonb)
    RETURNING *
)
INSERT INTO audit_unsealed (record_id, leaf_hash, stored_at)
SELECT id, audit_leaf_hash(id, digest, received_at, parked_at, stored_at), stored_at FROM stored
"""


def word() -> str:
    """A category that no other test has."""
    return f"c-{secrets.token_hex(6)}"


def id_of(moment: datetime) -> UUID:
    """A UUIDv7 of a moment."""
    random = secrets.randbits(74)
    return UUID(
        int=int(moment.timestamp() * 1000) << 80 | 7 << 76 | random >> 62 << 64 | 2 << 62 | random & (2**62 - 1)
    )


def aged(stored_at: datetime, *, writer: str = "tests", erasing: Rules | None = None, **changes: Any) -> UUID:
    """Store an event as the store would have at that time, under rules of erasure; return its id."""
    given = {"event_timestamp": stored_at.isoformat(), "event_id": str(id_of(stored_at))} | changes
    accepted = event.accept(an_event(**given), writer=writer, erasing=erasing)
    with connections["owner"].cursor() as cursor:
        cursor.execute(INSERT, [accepted.digest, stored_at, stored_at, accepted.body.decode()])
        for path, kept in (accepted.beside or {}).items():
            cursor.execute(
                "INSERT INTO audit_erasable VALUES (%s, %s, %s, %s)",
                [accepted.id, path, kept.salt, kept.value.decode()],
            )
    assert canonical.digest(accepted.body) == accepted.digest
    return accepted.id


def floor(category: str, days: int) -> RetentionRequest:
    """A floor that Ann asked for and Ben approved."""
    request = policy.ask(category, days, reason="a test", by=ANN)
    policy.decide(request, approve=True, by=BEN)
    return request


def backdated_floors(category: str, floors: Iterable[tuple[int, datetime]]) -> None:
    """Floors of (days, from when on), as if they had been approved then."""
    backdated((category, days, applies_from) for days, applies_from in floors)


def backdated(floors: Iterable[tuple[str, int, datetime]]) -> None:
    """Floors of (category, days, from when on): the owner writes past the trigger."""
    with unguarded("audit_retentiondecision") as cursor:
        for category, days, applies_from in floors:
            cursor.execute(
                "INSERT INTO audit_retentionrequest (kind, category, days, reason, asked_by) "
                "VALUES ('policy', %s, %s, 'a test', 'ann') RETURNING id",
                [category, days],
            )
            (request,) = cursor.fetchone()
            cursor.execute(
                "INSERT INTO audit_retentiondecision VALUES (%s, 'approved', 'ben', %s, gen_random_uuid())",
                [request, applies_from],
            )


@contextmanager
def unguarded(table: str) -> Iterator[Any]:
    """The owner's cursor, with the trigger that checks what is inserted into a table switched off."""
    with connections["owner"].cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER audit_check")
        try:
            yield cursor
        finally:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER audit_check")


def ago(days: float) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


def month_of(moment: datetime) -> datetime:
    """When the month of a moment begins."""
    return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def seal() -> None:
    Sealer().once(from_start=True)


def remaining() -> set[UUID]:
    """The ids of all records that are there."""
    return set(Record.objects.values_list("pk", flat=True))


def short(days: int = 30) -> str:
    """A category of which nothing has to be kept longer than so many days."""
    category = word()
    backdated_floors(category, [(days, ago(4_000))])
    return category


def approved(cut: datetime | None = None, without_archive: str = NO_ARCHIVE) -> RetentionRequest:
    """A plan of what is due that Ann asked for and Ben approved, its records sealed."""
    seal()
    plan = purge.ask(cut or ago(0), reason="it is over", by=ANN, without_archive=without_archive)
    purge.decide(plan, approve=True, by=BEN)
    seal()
    return RetentionRequest.objects.select_related("decision").get(pk=plan.pk)


def here(ids: list[UUID]) -> set[UUID]:
    return set(Record.objects.filter(pk__in=ids).values_list("pk", flat=True))


def with_values(ids: Iterable[UUID]) -> set[UUID]:
    """Of these records those beside which a value stands."""
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT DISTINCT record_id FROM audit_erasable WHERE record_id = ANY(%s)", [list(ids)])
        return {record_id for (record_id,) in cursor.fetchall()}
