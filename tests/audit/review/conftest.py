"""Scenes of the daily review: days of a test's own."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from audit.formats.event import accept
from audit.ingest.record import store
from audit.models import Followed, Review
from audit.review import signoff
from audit.review.dispositions import Dispositions
from tests.audit.conftest import an_event
from tests.days import QUIET, own_days


def a_day() -> date:
    """A day of its own, long before all others."""
    return own_days()


def a_quiet_day() -> date:
    """A day of its own before all that any test has found: what is found stays open on later ones."""
    return own_days(since=QUIET)


def happened(day: date, writer: str = "tests", **changes: Any) -> None:
    store([accept(an_event(event_timestamp=f"{day}T12:00:00Z", **changes), writer=writer)], timeout_s=20)


def failed(day: date, times: int = 1) -> None:
    for _ in range(times):
        happened(day, event_outcome="failure", event_type="payments.card.refused")


def sign(
    day: date, note: str = "looked at", by: str = "officer", lines: Dispositions | None = None, in_part: bool = True
) -> Review:
    shown = signoff.report_to_sign(day)
    seen = (shown.digest, Review.objects.filter(day=day).count())
    return signoff.sign(day, note, by=by, seen=seen, lines=lines, in_part=in_part)


@pytest.fixture
def followed() -> Iterator[Any]:
    """Sets the day from which on reviews are asked for; afterwards it is today."""

    def since(day: date | None) -> None:
        Followed.objects.filter(name=signoff.REVIEWS).delete()
        if day is not None:
            Followed.objects.create(
                name=signoff.REVIEWS, followed_at=datetime(day.year, day.month, day.day, tzinfo=UTC)
            )

    yield since
    since(datetime.now(UTC).date())


def noon(day: date, hours: float = 0) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC) + timedelta(hours=hours)
