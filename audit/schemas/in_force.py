"""in_force: which schemas hold now, as every acceptance asks, and the check of an event by them.

PostgreSQL is asked once in TRUSTED_S; while it does not answer, what was known holds on, and a process that knows
nothing checks nothing: a schema is never a reason to lose an event. What was promised is not checked again.
"""

import threading
import time
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import psycopg
import structlog
from django.conf import settings

import dlq.errors
import dlq.stream
from audit import metrics
from audit.errors import Invalid, Unavailable
from audit.ingest.notify import notify_anyway
from audit.postgres.gateway import gateway
from audit.schemas.language import Checker

log = structlog.get_logger(__name__)

TRUSTED_S = 10.0
# A check that takes longer, in time of the processor, is the last one by its schema in this process.
SLOW_S = 0.25
# The newest revision of each, without its text, which is read where a revision is new to this process.
_FIND = b"""
SELECT DISTINCT ON (event_type, event_version) event_type, event_version, revision, mode, id FROM audit_eventschema
ORDER BY event_type, event_version, revision DESC
"""
_STORED = b"SELECT 1 FROM audit_record WHERE id = %s"
_READ = b"SELECT document::text FROM audit_eventschema WHERE id = %s"


class Schema(NamedTuple):
    """One that holds: for which events, its revision, whether it refuses."""

    event_type: str
    event_version: str
    revision: int
    refuses: bool
    checker: Checker


class Judged(NamedTuple):
    """What does not fit the schema that holds now, by member; nothing where all does."""

    schema: Schema
    faults: dict[str, str]


class _Known:
    """What this process knows, and until when it is trusted."""

    def __init__(self) -> None:
        self.rows: list[Any] | None = None
        self.schemas: dict[tuple[str, str], Schema] = {}
        self.until = 0.0
        self.lock = threading.Lock()


_known = _Known()


def check(document: Any, event_id: UUID | None = None) -> None:
    """Check an event that is valid, as it was sent. Raises `Invalid` where its schema refuses it.

    With an id of its sender's it may be one that was taken before its schema held: that is answered as it was.
    """
    if (schemas := _holding()) and (schema := of_event(document, schemas)) is not None:
        _check(document, schema, event_id)


def of_event(document: Any, schemas: dict[tuple[str, str], Schema] | None = None) -> Schema | None:
    """The schema that holds for an event: that of its type and version, else that of its type."""
    known = _holding() if schemas is None else schemas
    # The body of a record that somebody altered may be anything.
    event_type, version = document.get("event_type"), document.get("version")
    return known.get((event_type, version)) or known.get((event_type, ""))


def forget() -> None:
    """Ask again at the next event."""
    _known.until = 0.0


def judge(document: dict[str, Any]) -> Judged | None:
    """How an event fits the schema that holds for it now; None where none does."""
    if (schema := of_event(document)) is None:
        return None
    return Judged(schema, schema.checker.faults(document["event_data"]))


def _check(document: Any, schema: Schema, event_id: UUID | None) -> None:
    began = time.thread_time()
    faults = schema.checker.faults(document["event_data"])
    took_s = time.thread_time() - began
    if took_s > SLOW_S:
        _set_aside(schema, took_s)
    if not faults or (event_id is not None and schema.refuses and _was_taken(event_id)):
        return
    mode = "refuse" if schema.refuses else "warn"
    metrics.schema_misfits.labels(event_type=schema.event_type, mode=mode).inc()
    if schema.refuses:
        raise Invalid(faults)
    log.warning("schema_misfit", event_type=schema.event_type, revision=schema.revision, fields=sorted(faults))


def _was_taken(event_id: UUID) -> bool:
    """Whether an event of this id is stored, or waits in the queue; as far as one of both says so."""
    try:
        with gateway().connection(settings.RECORD_TIMEOUT_MS / 1000) as connection:
            if connection.execute(_STORED, [event_id]).fetchall():
                return True
    except (psycopg.Error, Unavailable) as error:
        log.warning("schema_taken_unknown", error=type(error).__name__)
    try:
        return bool(dlq.stream.default().pages.digests([str(event_id)]))
    except dlq.errors.Refused:
        return False


def _set_aside(schema: Schema, took_s: float) -> None:
    """Check by it no more in this process, until another revision holds: events come before their schemas."""
    _known.schemas.pop((schema.event_type, schema.event_version), None)
    name = f"{schema.event_type} {schema.event_version}".strip()
    log.error("schema_set_aside", event_type=name, revision=schema.revision, seconds=round(took_s, 3))
    text = (
        f"A check by the schema of {name}, revision {schema.revision}, took {took_s:.2f} s of the processor: it is set "
        "aside until another revision is registered. Events of this type are stored unchecked."
    )
    notify_anyway("audit.schema", text, not_again_for=timedelta(hours=1))


def _holding() -> dict[tuple[str, str], Schema]:
    if time.monotonic() >= _known.until and _known.lock.acquire(blocking=_known.rows is None):
        try:
            if time.monotonic() >= _known.until:
                _learn()
        finally:
            _known.lock.release()
    return _known.schemas


def _learn() -> None:
    _known.until = time.monotonic() + TRUSTED_S
    try:
        with gateway().connection(settings.RECORD_TIMEOUT_MS / 1000) as connection:
            found = [tuple(row) for row in connection.execute(_FIND).fetchall()]
            if found != _known.rows:
                _known.schemas = _read(connection, found)
                _known.rows = found
    except (psycopg.Error, Unavailable) as error:
        log.warning("schemas_unknown", error=type(error).__name__)


def _read(connection: Any, found: list[Any]) -> dict[tuple[str, str], Schema]:
    """Those that hold; what this process has of a revision already is not read again."""
    holding: dict[tuple[str, str], Schema] = {}
    for event_type, event_version, revision, mode, key in found:
        place = (event_type, event_version)
        before = _known.schemas.get(place)
        if mode == "off":
            continue
        if before is not None and before.revision == revision:
            holding[place] = before
            continue
        [(text,)] = connection.execute(_READ, [key]).fetchall()
        try:
            checker = Checker(msgspec.json.decode(text))
        except Exception as error:  # jsonschema-rs is missing, or another one than that which took the schema
            log.error("schema_unusable", event_type=event_type, revision=revision, error=str(error)[:300])
            continue
        holding[place] = Schema(event_type, event_version, revision, mode == "refuse", checker)
    return holding
