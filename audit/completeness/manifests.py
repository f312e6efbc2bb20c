"""manifests: a writer states which events it made in a window, and learns which of them never came.

The statement is a record before it is answered, so that nobody can say later that it was another. While events are
missing, the manifest is compared again whenever the writer is heard; what comes late closes it.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import msgspec
from django.db.models import F, Q, QuerySet, Window
from django.db.models.functions import RowNumber
from msgspec import Meta

from audit import visibility
from audit.errors import Invalid
from audit.formats import canonical, event
from audit.formats.times import timestamp_text
from audit.ingest import trail
from audit.models import OWN_WRITER, Manifest
from audit.postgres import sql

MAX_EVENTS, MAX_IDS = 100_000, 10_000
# Runs of missing numbers, or missing ids, that are named.
MAX_RUNS = 100
# Open manifests that one run compares, and how long each may go uncompared while its writer is silent.
MAX_COMPARED = 1_000
COMPARED_EVERY = timedelta(hours=1)

Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
Number = Annotated[int, Meta(ge=1, le=canonical.MAX_SAFE_INTEGER)]

# An epoch is compared or is NULL: only so does PostgreSQL use its index.
_NUMBERED = "writer = %(writer)s AND source_epoch = %(epoch)s AND source_seq BETWEEN %(first)s AND %(last)s"
_NUMBERED_BARE = "writer = %(writer)s AND source_epoch IS NULL AND source_seq BETWEEN %(first)s AND %(last)s"
_NAMED = "id = ANY(%(ids)s::uuid[]) AND writer = %(writer)s"
_IN_WINDOW = "writer = %(writer)s AND event_timestamp >= %(since)s AND event_timestamp < %(until)s"
_COMPARE = """
SELECT count(*), count(DISTINCT source_seq),
    encode(sha256(coalesce(string_agg(id::text || E'\\n', '' ORDER BY id), '')::bytea), 'hex'),
    encode(sha256(coalesce(string_agg(digest, ''::bytea ORDER BY id), ''::bytea)), 'hex')
FROM (SELECT id, digest, source_seq FROM audit_record WHERE {where} LIMIT %(most)s) found
"""
# The numbers that no event has, as runs: what lies between neighbours that are more than one apart.
_MISSING_NUMBERS = """
SELECT before + 1, seq - 1 FROM (
    SELECT seq, lag(seq, 1, %(first)s - 1) OVER (ORDER BY seq) AS before FROM (
        SELECT DISTINCT source_seq AS seq FROM audit_record WHERE {where} UNION SELECT %(last)s + 1
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
    count: Annotated[int, Meta(ge=0, le=MAX_EVENTS)]
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
    compare(manifest)
    return manifest


def compare(manifest: Manifest) -> None:
    came, numbers, ids, contents = _query(_COMPARE, manifest)[0]
    manifest.came = numbers if manifest.first_seq is not None else came
    manifest.surplus = max(came - manifest.count, 0)
    digests = [(manifest.ids_digest, ids), (manifest.contents_digest, contents)]
    manifest.agrees = manifest.came == manifest.count == came and all(said in ("", is_now) for said, is_now in digests)
    manifest.looked_at = now = sql.now()
    manifest.closed_at = (manifest.closed_at or now) if manifest.agrees else None
    manifest.save(update_fields=["came", "surplus", "agrees", "looked_at", "closed_at"])


def compare_open(writers: Iterable[str], is_late: Callable[[], bool]) -> None:
    """Compare the open manifests of writers that were heard anew, and those that were not compared for an hour.

    Each writer in its turn, and of each those first that were compared longest ago, however many there are.
    """
    heard, stale = Q(writer__in=set(writers)), Q(looked_at__lt=sql.now() - COMPARED_EVERY)
    due = Manifest.objects.filter(heard | stale, closed_at=None)
    compare_all(in_turns(due)[:MAX_COMPARED], is_late)


def in_turns(manifests: QuerySet[Manifest]) -> QuerySet[Manifest]:
    """Order manifests so that each writer has a first one before any has a second: none waits for another's many."""
    longest_ago = (F("looked_at").asc(nulls_first=True), F("pk").asc())
    turn = Window(RowNumber(), partition_by=[F("writer")], order_by=longest_ago)
    return manifests.annotate(turn=turn).order_by("turn", *longest_ago)


def compare_all(manifests: QuerySet[Manifest], is_late: Callable[[], bool]) -> None:
    """Compare these until it is late, one after the other, for each may name thousands of events."""
    for pk in list(manifests.values_list("pk", flat=True)):
        if is_late():
            return
        compare(Manifest.objects.get(pk=pk))


def missing(manifest: Manifest) -> Missing:
    """The first runs of numbers, or the first ids, that never came. A window alone names nothing."""
    if manifest.closed_at is not None:
        return Missing([], [])
    if manifest.first_seq is not None:
        return Missing([(first, last) for first, last in _query(_MISSING_NUMBERS, manifest)], [])
    return Missing([], [event_id for (event_id,) in _query(_MISSING_IDS, manifest)] if manifest.event_ids else [])


def _query(statement: str, manifest: Manifest) -> list[tuple[Any, ...]]:
    parameters = {
        "writer": manifest.writer,
        "epoch": manifest.epoch,
        "first": manifest.first_seq,
        "last": manifest.last_seq,
        "ids": manifest.event_ids,
        "since": manifest.since,
        "until": manifest.until,
        "most": 2 * MAX_EVENTS,
        "runs": MAX_RUNS,
    }
    with visibility.as_system():
        return sql.rows(statement.format(where=_where(manifest)), parameters, using="reader")


def _where(manifest: Manifest) -> str:
    if manifest.first_seq is not None:
        return _NUMBERED if manifest.epoch else _NUMBERED_BARE
    return _NAMED if manifest.event_ids else _IN_WINDOW


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
