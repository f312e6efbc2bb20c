"""elsewhere: where values are that an erasure does not reach, with what the store knows of each place."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from django.conf import settings

import dlq.errors
import dlq.stream
from audit.models import Backup, Export, Quarantined
from audit.postgres import sql

# Archives that hold some of these records, with how many, the newest first. An archive that is being made counts.
_ARCHIVES = """
SELECT a.id, a.folder, count(*) FROM audit_archive a
JOIN audit_leaf l ON l.index >= a.first AND l.index < a.last
WHERE l.record_id = ANY(%s) GROUP BY a.id, a.folder, a.requested_at ORDER BY a.requested_at DESC
"""
# A backup has what was stored before it ended.
_STORED = "SELECT min(stored_at) FROM audit_record WHERE id = ANY(%s)"
NAMED = 20
SCANNED_S = 2.0


class Place(NamedTuple):
    """A place that may hold values still: how many of it the store knows (None: it cannot tell), and their names."""

    what: str
    known: int | None
    # What to do about it, where there are any.
    advice: str = ""
    names: tuple[str, ...] = ()


def places(records: Sequence[UUID]) -> list[Place]:
    """Return the places that may hold values of these records after they are erased here."""
    ids = list(records)
    ready = Export.objects.filter(state="ready").count()
    made = Export.objects.exclude(manifest=None).count()
    return [
        Place("evidence bundles that are still in this store", ready, "wait until they expire, or make them again"),
        Place("evidence bundles that were made and may have left", made, "tell whoever fetched them"),
        _archives(ids),
        _backups(ids),
        _quarantine(ids),
        _queue(ids),
        _beside_in_queue(ids),
        _drained(),
        Place("write-ahead logs, replicas, and copies of the spool", None),
        Place("what the writer itself keeps, and answers of the API that were kept by who asked", None),
    ]


def _archives(ids: list[UUID]) -> Place:
    found = sql.rows(_ARCHIVES, [ids])
    names = tuple(f"archive {archive} in {folder}: {count:,} of these records" for archive, folder, count in found)
    what, advice = "archives that hold some of these records", "remove them, and make them again"
    return Place(what, len(found), advice, names[:NAMED])


def _backups(ids: list[UUID]) -> Place:
    [(stored_at,)] = sql.rows(_STORED, [ids])
    found = Backup.objects.all() if stored_at is None else Backup.objects.filter(ended_at__gt=stored_at)
    names = tuple(found.values_list("name", flat=True)[:NAMED])
    advice = "remove them once newer ones are there; after a restore ask for the erasure again"
    return Place("backups that were made since the first of these records", found.count(), advice, names)


def _quarantine(ids: list[UUID]) -> Place:
    rows = Quarantined.objects.filter(key__in=[str(each) for each in ids]).exclude(beside=None)
    advice = "what the erasure names goes there, too; of what else they have ask for an erasure of its own"
    return Place("events in the quarantine under these ids that have values beside them", rows.count(), advice)


def _queue(ids: list[UUID]) -> Place:
    try:
        waiting = dlq.stream.default().pages.how_many([str(each) for each in ids])
    except dlq.errors.Refused:
        waiting = None
    return Place("events that wait in the queue under these ids", waiting, "drain them: they are stored already")


def _beside_in_queue(ids: list[UUID]) -> Place:
    """Other events that came with these ids, kept by the spool while nobody could compare: see `dlq.restore`."""
    try:
        waiting = dlq.stream.default().pages.how_many_beside([str(each) for each in ids], seconds=SCANNED_S)
    except dlq.errors.Refused:
        waiting = None
    what = "other events that wait in the queue and came under these ids, too"
    advice = "they become records under ids of their own: once they are drained, ask for an erasure of those"
    return Place(what, waiting, advice)


def _drained() -> Place:
    """What Redis keeps of drained events has no index by id; it goes by itself."""
    hours = settings.DLQ_KEEP_DRAINED_S / 3600
    return Place(f"copies of drained events in Redis, which go after {hours:g} h", None if hours else 0)
