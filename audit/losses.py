"""losses: what a person says of events that the account shows as lost. The loss stays what it is."""

from collections.abc import Iterable
from datetime import UTC, date, datetime

from django.db import transaction

from audit.accounting import balance
from audit.accounting.balance import Entry
from audit.completeness import explain
from audit.errors import AuditError
from audit.models import Loss


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
        explain.explain(found, text, by=by)
        found.save(update_fields=["lost"])
    return found


def explained(entries: Iterable[Entry]) -> dict[tuple[date, str], Loss]:
    """What was said of the losses among these lines."""
    lines = {(one.day, one.writer) for one in entries if one.line.lost}
    days, writers = {day for day, _ in lines}, {writer for _, writer in lines}
    found = Loss.objects.filter(day__in=days, writer__in=writers, explained_at__isnull=False) if lines else ()
    return {(one.day, one.writer): one for one in found if (one.day, one.writer) in lines}
