"""manifests: a writer states which events it made in a window, and learns which of them never came.

The statement is a record before it is answered, so that nobody can say later that it was another. While events are
missing, the manifest is compared again whenever the writer is heard; what comes late closes it.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import msgspec
from msgspec import Meta

from audit.completeness import compare
from audit.errors import Invalid
from audit.formats import canonical, event
from audit.formats.times import timestamp_text
from audit.ingest import trail
from audit.models import OWN_WRITER, Manifest
from audit.postgres import sql

MAX_IDS = 10_000
# Runs of missing numbers, or missing ids, that are named.
MAX_RUNS = 100

Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
Number = Annotated[int, Meta(ge=1, le=canonical.MAX_SAFE_INTEGER)]

# The numbers that no event has, as runs: what lies between neighbours that are more than one apart.
_MISSING_NUMBERS = """
SELECT before + 1, seq - 1 FROM (
    SELECT seq, lag(seq, 1, %(first)s - 1) OVER (ORDER BY seq) AS before FROM (
        SELECT DISTINCT source_seq AS seq FROM audit_record
        WHERE writer = %(writer)s AND source_epoch {is_epoch} AND source_seq BETWEEN %(first)s AND %(last)s
        UNION SELECT %(last)s + 1
    ) numbers
) neighbours WHERE seq > before + 1 ORDER BY seq LIMIT %(runs)s
"""
# `OFFSET 0`: each id is looked up in its own month (see `sql.RECORD_OF_LEAF`).
_MISSING_IDS = """
SELECT wanted::text FROM unnest(%(ids)s::uuid[]) wanted
WHERE NOT EXISTS (SELECT FROM audit_record WHERE id = wanted AND writer = %(writer)s OFFSET 0)
ORDER BY wanted LIMIT %(runs)s
"""


class StatedManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a writer sends: `count` events, named by their numbers, by their ids, or by the window alone."""

    since: Annotated[datetime, Meta(tz=True)]
    until: Annotated[datetime, Meta(tz=True)]
    count: Annotated[int, Meta(ge=0, le=compare.MAX_EVENTS)]
    source_epoch: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    first_seq: Number | None = None
    last_seq: Number | None = None
    event_ids: Annotated[list[UUID], Meta(max_length=MAX_IDS)] | None = None
    # SHA-256 over the ids in ascending order, as lower-case text, a newline after each.
    ids_digest: Sha256 | None = None
    # SHA-256 over the digests of the receipts, 32 bytes each, in the order of the ids.
    contents_digest: Sha256 | None = None


class Missing(NamedTuple):
    """The events of a manifest that never came, as far as they can be named."""

    numbers: list[tuple[int, int]]
    ids: list[str]


def submit(document: Any, *, writer: str) -> Manifest:
    """Store a statement, once, and compare it with the store. Raises `Invalid`, `NothingKept`, database errors."""
    stated = _parse(document)
    key = sha256(writer.encode() + b"\n" + msgspec.json.encode(stated, order="sorted")).hexdigest()
    if (manifest := Manifest.objects.filter(key=key).first()) is None:
        manifest = _store(stated, key, writer)
    compare.compare(manifest)
    return manifest


def missing(manifest: Manifest) -> Missing:
    """The first runs of numbers, or the first ids, that never came. A window alone names nothing."""
    if manifest.closed_at is not None:
        return Missing([], [])
    named = {"writer": manifest.writer, "runs": MAX_RUNS}
    if manifest.first_seq is not None:
        statement = _MISSING_NUMBERS.format(is_epoch="= %(epoch)s" if manifest.epoch else "IS NULL")
        numbers = {"epoch": manifest.epoch, "first": manifest.first_seq, "last": manifest.last_seq}
        return Missing([(first, last) for first, last in compare.read(statement, named | numbers)], [])
    if not manifest.event_ids:
        return Missing([], [])
    return Missing([], [event_id for (event_id,) in compare.read(_MISSING_IDS, named | {"ids": manifest.event_ids})])


def _store(stated: StatedManifest, key: str, writer: str) -> Manifest:
    """Record the statement, then store it as a row that is compared."""
    facts: dict[str, Any] = {
        "since": timestamp_text(stated.since),
        "until": timestamp_text(stated.until),
        "count": stated.count,
        "epoch": stated.source_epoch,
        "first_seq": stated.first_seq,
        "last_seq": stated.last_seq,
        "ids_digest": stated.ids_digest,
        "contents_digest": stated.contents_digest,
    }
    trail.add("audit.manifest.stated", actor=OWN_WRITER, correlation=f"manifest-{key}", writer=writer, **facts)
    columns = {
        **facts,
        "writer": writer,
        "epoch": stated.source_epoch or "",
        "since": stated.since,
        "until": stated.until,
        "event_ids": [str(event_id) for event_id in stated.event_ids or []],
        "ids_digest": stated.ids_digest or "",
        "contents_digest": stated.contents_digest or "",
        "found_at": sql.now(),
    }
    return Manifest.objects.get_or_create(key=key, defaults=columns)[0]


def _parse(document: Any) -> StatedManifest:
    try:
        stated = msgspec.convert(_respelled(document), StatedManifest)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        raise Invalid({"": f"no manifest: {error}"}) from None
    if errors := dict(_faults(stated)):
        raise Invalid(errors)
    try:
        # PostgreSQL knows no time zone that is 16 hours or more from UTC.
        return msgspec.structs.replace(stated, since=stated.since.astimezone(UTC), until=stated.until.astimezone(UTC))
    except OverflowError:
        raise Invalid({"since": "is outside the years 1 to 9999 in UTC, or until is"}) from None


def _respelled(document: Any) -> Any:
    """Return a document with its times and ids as everybody writes them."""
    if not isinstance(document, dict):
        return document
    spelled = event.respelled(document, ("since", "until"), ())
    if isinstance(ids := document.get("event_ids"), list):
        spelled["event_ids"] = [event.respelled({"id": event_id}, (), ("id",))["id"] for event_id in ids]
    return spelled


def _faults(stated: StatedManifest) -> Iterable[tuple[str, str]]:
    yield from event.text_faults("source_epoch", stated.source_epoch)
    if stated.until <= stated.since:
        yield "until", "must be after since"
    if (stated.first_seq is None) != (stated.last_seq is None):
        yield "last_seq", "first_seq and last_seq go together"
    elif stated.first_seq is not None and stated.last_seq is not None:
        if stated.last_seq - stated.first_seq + 1 != stated.count:
            yield "count", "must be last_seq - first_seq + 1: numbers have no holes"
        if stated.event_ids is not None:
            yield "event_ids", "name the events by their numbers or by their ids, not both"
    elif stated.source_epoch is not None:
        yield "source_epoch", "says which numbers these are: send first_seq and last_seq with it"
    if stated.event_ids is not None and len(set(stated.event_ids)) != stated.count:
        yield "count", "must be the number of different event_ids"
