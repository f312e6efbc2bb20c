"""explain: people take findings and losses on, and say what caused them. Each act is recorded before it is stored."""

from collections.abc import Iterable
from datetime import UTC, date, datetime

from django.db import transaction

from audit.accounting import balance
from audit.accounting.balance import WriterDay
from audit.errors import AuditError
from audit.ingest import trail
from audit.models import Discrepancy, Loss

MAX_CHARACTERS = 5_000


class NotExplained(AuditError):
    """An explanation needs words: say why these events never came, and how that is known."""


class NotLost(AuditError):
    """The account of this writer and day shows no loss that you could explain."""


def assign(finding: Discrepancy, *, by: str) -> None:
    """Make somebody the owner of a finding. Raises `NothingKept`."""
    _record("owned", finding, by)
    finding.owner = by
    finding.save(update_fields=["owner"])


def explain(finding: Discrepancy, text: str, *, by: str) -> None:
    """Say why it never came: the finding is open no more, and is kept for good. Raises `AuditError`."""
    words = text.replace("\x00", "").strip()[:MAX_CHARACTERS]
    if not words:
        raise NotExplained
    _record("explained", finding, by, explanation=words)
    finding.explanation, finding.explained_at, finding.owner = words, datetime.now(UTC), by
    finding.save(update_fields=["explanation", "explained_at", "owner"])


def explain_loss(day: date, writer: str, text: str, *, by: str) -> Loss:
    """Say how these events came to be lost; a later explanation replaces an earlier one. Raises `AuditError`."""
    lost = sum(row.line.lost for row in balance.compute(day, day, writer=writer).rows if row.writer == writer)
    if not lost:
        raise NotLost
    with transaction.atomic():
        loss, _ = Loss.objects.get_or_create(
            day=day, writer=writer, defaults={"lost": lost, "found_at": datetime.now(UTC)}
        )
        loss.lost = lost
        explain(loss, text, by=by)
        loss.save(update_fields=["lost"])
    return loss


def explained_losses(rows: Iterable[WriterDay]) -> dict[tuple[date, str], Loss]:
    keys = {(row.day, row.writer) for row in rows if row.line.lost}
    days, writers = {day for day, _ in keys}, {writer for _, writer in keys}
    losses = Loss.objects.filter(day__in=days, writer__in=writers, explained_at__isnull=False) if keys else ()
    return {(loss.day, loss.writer): loss for loss in losses if (loss.day, loss.writer) in keys}


def _record(act: str, finding: Discrepancy, by: str, **words: str) -> None:
    trail.add(f"audit.{finding.NOUN}.{act}", actor=by, correlation="completeness", **finding.facts(), **words)
