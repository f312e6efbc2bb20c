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


class Place(NamedTuple):
    """A place that may hold values still: how many of it the store knows (None: it cannot tell), and their names."""

    what: str
    known: int | None
    names: tuple[str, ...] = ()


def places(records: Sequence[UUID]) -> list[Place]:
    """Return the places that may hold values of these records after they are erased here."""
    ids = list(records)
    ready = Export.objects.filter(state="ready").count()
    made = Export.objects.exclude(manifest=None).count()
    return [
        Place("evidence bundles that are still in this store: wait until they expire, or make them again", ready),
        Place("evidence bundles that were made and may have left", made),
        _archives(ids),
        _backups(ids),
        Place(
            "events in the quarantine under these ids that have values beside them: what the erasure names goes there, "
            "too, and no more",
            Quarantined.objects.filter(key__in=[str(each) for each in ids]).exclude(beside=None).count(),
        ),
        _queue(ids),
        Place("write-ahead logs, replicas, and copies of the spool: the store knows none of them", None),
        Place("what the writer itself keeps, and answers of the API that were kept by who asked", None),
    ]


def _archives(ids: list[UUID]) -> Place:
    found = sql.rows(_ARCHIVES, [ids])
    names = tuple(f"archive {archive} in {folder}: {count:,} of these records" for archive, folder, count in found)
    return Place(
        "archives that hold some of these records: remove them, and make them again", len(found), names[:NAMED]
    )


def _backups(ids: list[UUID]) -> Place:
    [(stored_at,)] = sql.rows(_STORED, [ids])
    found = Backup.objects.all() if stored_at is None else Backup.objects.filter(ended_at__gt=stored_at)
    names = tuple(found.values_list("name", flat=True)[:NAMED])
    what = "backups that were made since: remove them once newer ones are there, and erase again after a restore"
    return Place(what, found.count(), names)


def _queue(ids: list[UUID]) -> Place:
    try:
        waiting = dlq.stream.default().pages.how_many([str(each) for each in ids])
    except dlq.errors.Refused:
        waiting = None
    hours = round(settings.DLQ_KEEP_DRAINED_S / 3600)
    kept = f"; what was drained stays in Redis for up to {hours} h more" if hours else ""
    return Place(
        f"events that wait in the queue under these ids: drain them, for they are stored already{kept}", waiting
    )
