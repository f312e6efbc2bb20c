"""Which backups and restore drills there were. Each is a record, too."""

from datetime import UTC, datetime
from typing import Literal

from audit.ingest import trail
from audit.models import Backup, RestoreDrill
from audit.postgres import sql

CORRELATION = "backup"


def note_backup(backup: Backup) -> None:
    """Record a backup that was made whole, and list it. Raises `NothingKept` and database errors."""
    trail.add(
        "audit.backup.made",
        actor=backup.made_by,
        correlation=CORRELATION,
        name=backup.name,
        began_at=backup.began_at.isoformat(),
        bytes=backup.bytes,
        log_size=backup.log_size,
        manifest=backup.manifest,
    )
    sql.run(
        "INSERT INTO audit_backup (name, began_at, ended_at, bytes, log_size, manifest, made_by) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s)",
        [
            *(backup.name, backup.began_at, backup.ended_at, backup.bytes),
            *(backup.log_size, backup.manifest, backup.made_by),
        ],
    )


def note_drill(backup: str, outcome: Literal["success", "failure"], note: str, *, by: str) -> None:
    """Record that a backup was restored elsewhere to try it. Raises `NothingKept` and database errors."""
    trail.add(
        "audit.restore.drilled", actor=by, outcome=outcome, correlation=CORRELATION, name=backup, note=note or None
    )
    sql.run(
        "INSERT INTO audit_restoredrill (drilled_at, backup, outcome, note, drilled_by) VALUES (%s, %s, %s, %s, %s)",
        [datetime.now(UTC), backup, outcome, note, by],
    )


def last_backup() -> Backup | None:
    """The newest backup that this store knows of: after a restore it is one of before."""
    return Backup.objects.first()


def last_drill() -> RestoreDrill | None:
    """The newest drill, whatever its outcome."""
    return RestoreDrill.objects.first()
