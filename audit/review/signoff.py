"""signoff: a named person looks through each UTC day and signs what he saw; a day that nobody signs is a finding.

A signature is the record `audit.review.signed` with all that was shown, before it is a row. Reviews are asked for from
the day on which the schedule first runs with them; what was before is never asked for.
"""

import json
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

import structlog
from django.conf import settings
from django.db import connections, transaction

import dlq.alarm
from audit import visibility
from audit.errors import AuditError
from audit.ingest import trail
from audit.models import OWN_WRITER, Followed, MissedReview, Review
from audit.review import exception_report
from audit.review.exception_report import Day

log = structlog.get_logger(__name__)

REVIEWS = "reviews"
"""The follower that has come to the first day that may still be signed in time."""
CHARACTERS = 5_000
STATES = {
    "signed": "ok",
    "signed late": "ok",
    "due": "warning",
    "missed": "error",
    "explained": "warning",
    "not over": "pending",
    "not asked for": "pending",
}
"""What may be said of a day, and how grave it is."""
_LOCK = "SELECT pg_advisory_xact_lock(hashtext('audit_review'))"
_SIGN = """
INSERT INTO audit_review (day, number, signed_by, signed_at, note, exceptions, digest, shown)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""


class NotSigned(AuditError):
    """The day is not signed."""


class Standing(NamedTuple):
    """How a day stands."""

    day: date
    state: str
    reviews: list[Review]
    missed: MissedReview | None


class Waiting(NamedTuple):
    """What waits for a review."""

    due: int
    """Days that are over and can still be signed in time."""
    missed: int
    """Days whose time is up, and that nobody has signed or explained."""


def look(day: date) -> Day:
    """What is to be reviewed of a day. Raises `NotSigned` for who may see a part of the records only."""
    if visibility.scopes():
        raise NotSigned("A review is of the whole store, and you may see a part of it: ask for it without a scope.")
    return exception_report.look(day)


def standings(days: Iterable[date], now: datetime | None = None) -> list[Standing]:
    """How each of these days stands."""
    now, days = now or datetime.now(UTC), list(days)
    signed: dict[date, list[Review]] = {}
    for review in Review.objects.filter(day__in=days):
        signed.setdefault(review.day, []).append(review)
    missed = {one.day: one for one in MissedReview.objects.filter(day__in=days)}
    since = _followed()
    return [
        Standing(
            day, _state(day, now, signed.get(day, []), missed.get(day), since), signed.get(day, []), missed.get(day)
        )
        for day in days
    ]


def sign(day: date, note: str, *, by: str, seen: tuple[str, int], address: str | None = None) -> Review:
    """Sign a day, or put another signature beside those it has; `seen` is the digest that was shown, and how many were.

    Raises `NotSigned`, and `NothingKept`.
    """
    now, words = datetime.now(UTC), note.replace("\x00", "").strip()[:CHARACTERS]
    if day >= now.date():
        raise NotSigned(f"The day {day} is not over: it can be signed from 00:00 UTC on.")
    with transaction.atomic():
        _alone()
        shown, number = look(day), Review.objects.filter(day=day).count() + 1
        if seen != (shown.digest, number - 1):
            raise NotSigned("Something came, or somebody signed, since this page was shown: read it again, then sign.")
        if shown.exceptions and not words:
            raise NotSigned("There are exceptions: say in the note what became of them.")
        _record(shown, words, number, by, address)
        values = (day, number, by, now, words, shown.exceptions, shown.digest, json.dumps(shown.document))
        with connections["default"].cursor() as cursor:
            cursor.execute(_SIGN, values)
        MissedReview.objects.filter(day=day, closed_at=None).update(closed_at=now)
    return Review.objects.get(day=day, number=number)


def judge(now: datetime | None = None) -> list[date]:
    """Find the days whose time is up and that nobody signed; return those that are new. Raises `NothingKept`."""
    now = now or datetime.now(UTC)
    if settings.REVIEW_HOURS <= 0:
        Followed.objects.filter(name=REVIEWS).delete()
        return []
    with transaction.atomic():
        _alone()
        first = _followed() or _begin(now)
        ended = (now - timedelta(hours=settings.REVIEW_HOURS)).date()
        days = [first + timedelta(days=n) for n in range((ended - first).days)]
        signed = set(Review.objects.filter(day__in=days).values_list("day", flat=True))
        found = [_miss(day, now) for day in days if day not in signed]
        if days:
            Followed.objects.filter(name=REVIEWS).update(followed_at=_midnight(ended))
    _tell(now)
    return [one.day for one in found]


def waiting(now: datetime | None = None) -> Waiting:
    """How many days wait."""
    now, since = now or datetime.now(UTC), _followed()
    due = 0
    if since is not None and settings.REVIEW_HOURS > 0:
        signed = Review.objects.filter(day__gte=since, number=1).count()
        due = max((now.date() - since).days - signed, 0)
    return Waiting(due, MissedReview.objects.filter(closed_at=None, explained_at=None).count())


def due_at(day: date) -> datetime:
    """Until when a day may be signed in time."""
    return _midnight(day) + timedelta(days=1, hours=settings.REVIEW_HOURS)


def _state(day: date, now: datetime, signed: list[Review], missed: MissedReview | None, since: date | None) -> str:
    if signed:
        return "signed late" if missed is not None else "signed"
    if missed is not None:
        return "missed" if missed.state == "open" else missed.state
    if day >= now.date():
        return "not over"
    return "not asked for" if settings.REVIEW_HOURS <= 0 or since is None or day < since else "due"


def _followed() -> date | None:
    found = Followed.objects.filter(name=REVIEWS).values_list("followed_at", flat=True).first()
    return found and found.date()


def _begin(now: datetime) -> date:
    """Reviews are asked for from today on; that they are is a record."""
    trail.add("audit.review.begun", actor=OWN_WRITER, correlation="reviews", first_day=now.date().isoformat())
    Followed.objects.create(name=REVIEWS, followed_at=_midnight(now.date()))
    return now.date()


def _miss(day: date, now: datetime) -> MissedReview:
    found = MissedReview(day=day, due_at=due_at(day), found_at=now)
    trail.add(
        "audit.review.missed",
        _where(day),
        actor=OWN_WRITER,
        outcome="failure",
        correlation=f"review-{day}",
        **found.facts(),
    )
    found.save(force_insert=True)
    return found


def _tell(now: datetime) -> None:
    """Raise the alarm for what nobody was told of yet; one that nobody took is raised again."""
    untold = MissedReview.objects.filter(closed_at=None, explained_at=None, told_at=None)
    if not (days := sorted(untold.values_list("day", flat=True))):
        return
    log.error("reviews_missed", days=[day.isoformat() for day in days[:100]], count=len(days))
    text = f"{len(days)} days were not reviewed in time, the first: {days[0]}. See the admin, Daily review."
    if dlq.alarm.tell("audit.review", text, days=len(days)):
        untold.filter(day__in=days).update(told_at=now)


def _record(shown: Day, note: str, number: int, by: str, address: str | None) -> None:
    trail.add(
        f"audit.review.{'signed' if number == 1 else 'countersigned'}",
        _where(shown.day, address),
        actor=by,
        correlation=f"review-{shown.day}",
        number=number,
        digest=shown.digest,
        exceptions=shown.exceptions,
        note=note or None,
        shown=shown.document,
    )


def _where(day: date, address: str | None = None) -> trail.Where:
    return trail.Where(resource=("review", day.isoformat()), address=address)


def _alone() -> None:
    """Two who sign at once, or one who signs while the schedule judges, come one after the other."""
    with connections["default"].cursor() as cursor:
        cursor.execute(_LOCK)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
