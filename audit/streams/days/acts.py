"""acts: what the store records of days: by it a file that is there already is known as its own, or is not signed."""

from datetime import date
from typing import Any

from audit.ingest import trail
from audit.ingest.own_event import Where
from audit.models import OWN_WRITER, Record

_WHERE = Where(category="streams", resource=("day", ""))


def add(act: str, day: date, by: str, **facts: Any) -> None:
    """Record an act on the files of a day: begun, written (a file, before it is put), made. Raises `NothingKept`."""
    trail.add(f"audit.day.{act}", _WHERE, actor=by, correlation=_correlation(day), day=day.isoformat(), **facts)


def has(act: str, day: date, **facts: Any) -> bool:
    """Whether such an act with these facts is a record already. Raises database errors."""
    acts = Record.objects.filter(writer=OWN_WRITER, event_type=f"audit.day.{act}", correlation_id=_correlation(day))
    return acts.filter(event_data__contains=facts).exists()


def _correlation(day: date) -> str:
    return f"day-{day.isoformat()}"
