"""explain: people take care of what is missing, and say why it never came. The words are recorded before they stand."""

from datetime import UTC, datetime

from audit.errors import AuditError
from audit.ingest import trail
from audit.models import Found

CHARACTERS = 5_000


class NotExplained(AuditError):
    """An explanation needs words: say why these events never came, and how that is known."""


def own(found: Found, *, by: str) -> None:
    """Somebody takes care of it. Raises `NothingKept`."""
    _record("owned", found, by)
    found.owner = by
    found.save(update_fields=["owner"])


def explain(found: Found, text: str, *, by: str) -> None:
    """Say why it never came; it is not open any more then, and never gone. Raises `AuditError`."""
    words = text.replace("\x00", "").strip()[:CHARACTERS]
    if not words:
        raise NotExplained
    _record("explained", found, by, explanation=words)
    found.explanation, found.explained_at, found.owner = words, datetime.now(UTC), by
    found.save(update_fields=["explanation", "explained_at", "owner"])


def _record(act: str, found: Found, by: str, **words: str) -> None:
    trail.add(f"audit.{found.NOUN}.{act}", actor=by, correlation="completeness", **found.facts(), **words)
