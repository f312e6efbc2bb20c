"""explain: people take care of what is missing, and say why it never came. The words are recorded before they stand."""

from collections.abc import Iterable
from datetime import UTC, date, datetime

from django.db import transaction

from audit.accounting import balance
from audit.accounting.balance import Entry
from audit.errors import AuditError
from audit.ingest import trail
from audit.models import Discrepancy, Loss

CHARACTERS = 5_000


class NotExplained(AuditError):
    """An explanation needs words: say why these events never came, and how that is known."""


def own(found: Discrepancy, *, by: str) -> None:
    """Somebody takes care of it. Raises `NothingKept`."""
    _record("owned", found, by)
    found.owner = by
    found.save(update_fields=["owner"])


def explain(found: Discrepancy, text: str, *, by: str) -> None:
    """Say why it never came; it is not open any more then, and never gone. Raises `AuditError`."""
    words = text.replace("\x00", "").strip()[:CHARACTERS]
    if not words:
        raise NotExplained
    _record("explained", found, by, explanation=words)
    found.explanation, found.explained_at, found.owner = words, datetime.now(UTC), by
    found.save(update_fields=["explanation", "explained_at", "owner"])


def _record(act: str, found: Discrepancy, by: str, **words: str) -> None:
    trail.add(f"audit.{found.NOUN}.{act}", actor=by, correlation="completeness", **found.facts(), **words)


class NotLost(AuditError):
    """The account of this writer and day shows no loss that you could explain."""


def explain_loss(day: date, writer: str, text: str, *, by: str) -> Loss:
    """Say how these events came to be lost; who says so again, says it instead. Raises `AuditError`."""
    lost = sum(one.line.lost for one in balance.look(day, day, writer=writer).entries if one.writer == writer)
    if not lost:
        raise NotLost
    with transaction.atomic():
        found, _ = Loss.objects.get_or_create(
            day=day, writer=writer, defaults={"lost": lost, "found_at": datetime.now(UTC)}
        )
        found.lost = lost
        explain(found, text, by=by)
        found.save(update_fields=["lost"])
    return found


def explained_losses(entries: Iterable[Entry]) -> dict[tuple[date, str], Loss]:
    """What was said of the losses among these lines."""
    lines = {(one.day, one.writer) for one in entries if one.line.lost}
    days, writers = {day for day, _ in lines}, {writer for _, writer in lines}
    found = Loss.objects.filter(day__in=days, writer__in=writers, explained_at__isnull=False) if lines else ()
    return {(one.day, one.writer): one for one in found if (one.day, one.writer) in lines}
