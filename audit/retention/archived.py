"""archived: whether archives hold what a purge would remove. PostgreSQL checks each record again as it goes."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from audit.errors import AuditError
from audit.formats.times import timestamp_text
from audit.models import Archive, RetentionRequest
from audit.postgres import sql

# So many stretches that no archive holds are named.
MOST_NAMED = 20
_HOLDING = """
SELECT h.id, h.first, h.last, h.checked_at FROM audit_holding_archives() h
WHERE h.first < %(last)s AND h.last > %(first)s ORDER BY h.first, h.last
"""


class NotArchived(AuditError):
    """No archive holds all that the purge would remove."""

    def __init__(self, lacking: "list[tuple[int, int]]"):
        named = ", ".join(f"{first:,} to {last - 1:,}" for first, last in lacking[:MOST_NAMED])
        more = ", and others" if len(lacking) > MOST_NAMED else ""
        super().__init__(
            f"No archive whose last check is VERIFIED, and sealed, holds the leaves {named}{more}: archive them and "
            "check it (`manage.py archive create`, `archive check`), or plan a purge that says why it needs none."
        )


class Holding(NamedTuple):
    """An archive that holds leaves of a plan, and when its last whole check ended."""

    id: UUID
    first: int
    last: int
    checked_at: datetime

    def as_json(self) -> dict[str, Any]:
        """The archive as a certificate names it, with the digest of its index."""
        digest = Archive.objects.values_list("digest", flat=True).get(pk=self.id)
        facts = {"archive": str(self.id), "digest": digest, "checked_at": timestamp_text(self.checked_at)}
        return facts | {"first": self.first, "last": self.last}


def holding(first: int, last: int) -> list[Holding]:
    """The archives that hold some of the leaves first to last - 1, and whose check is sealed."""
    return [Holding(*row) for row in sql.rows(_HOLDING, {"first": first, "last": last})]


def lacking(plan: RetentionRequest) -> list[tuple[int, int]]:
    """The leaves of a plan, first and last + 1, that no archive holds and no purge has removed."""
    return [(first, last) for first, last in sql.rows("SELECT * FROM audit_not_archived(%s)", [plan.pk])]


def require(plan: RetentionRequest) -> None:
    """Raises `NotArchived` where the plan needs an archive and none holds all of it."""
    if not plan.without_archive and (found := lacking(plan)):
        raise NotArchived(found)
