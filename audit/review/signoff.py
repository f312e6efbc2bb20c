"""signoff: a named person reviews each UTC day and signs what they were shown; a day that nobody signs is a finding.

A signature is the record `audit.review.signed` with all that was shown, and then a row. Reviews are asked for from the
day on which the schedule first runs with REVIEW_HOURS set, never for days before.
"""

import json
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.db import transaction

from audit import visibility
from audit.errors import AuditError
from audit.formats import times
from audit.ingest import trail
from audit.ingest.notify import notify
from audit.models import OWN_WRITER, Followed, MissedReview, Review
from audit.postgres import sql
from audit.review import dispositions
from audit.review.dispositions import Dispositions, Reviewed, Signature
from audit.review.exception_report import ExceptionReport, exception_report

# The row of audit_followed that holds the first day that may still be signed in time.
REVIEWS = "reviews"
MAX_NOTE_CHARS = 5_000
MAX_REASON_CHARS = 200
# Of a day, with the level of its badge.
STATES = {
    "signed": "ok",
    "signed late": "ok",
    # Signed, though lines of it have no disposition.
    "signed in part": "warning",
    "signed late in part": "warning",
    "due": "warning",
    "missed": "error",
    "explained": "warning",
    "not over": "pending",
    "not asked for": "pending",
}
_SIGN = """
INSERT INTO audit_review (day, number, signed_by, signed_at, note, exceptions, digest, shown)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""


class NotSigned(AuditError):
    """The day is not signed."""


class ReviewState(NamedTuple):
    """`signatures` are those of `reviews`, with what they say of single lines."""

    day: date
    state: str
    reviews: list[Review]
    missed: MissedReview | None
    signatures: list[Signature]

    @property
    def reviewed(self) -> Reviewed:
        return dispositions.reviewed(self.signatures)


class ReviewsWaiting(NamedTuple):
    # Over, not signed, and still in time.
    due: int
    # Past their time, and neither signed nor explained.
    missed: int


def report_to_sign(day: date) -> ExceptionReport:
    """Raises `NotSigned` for a viewer with scopes, and `TookTooLong`."""
    if visibility.scopes():
        raise NotSigned("A review is of the whole store, and you may see a part of it: ask for it without a scope.")
    return exception_report(day)


def states(days: Iterable[date], now: datetime | None = None) -> list[ReviewState]:
    now, days = now or datetime.now(UTC), list(days)
    reviews: dict[date, list[Review]] = {day: [] for day in days}
    for review in Review.objects.filter(day__in=days):
        reviews[review.day].append(review)
    missed = {row.day: row for row in MissedReview.objects.filter(day__in=days)}
    since, signed = asked_since(), dispositions.signatures(row for rows in reviews.values() for row in rows)
    return [
        ReviewState(
            day,
            _state(day, now, signed.get(day, []), missed.get(day), since),
            reviews[day],
            missed.get(day),
            signed.get(day, []),
        )
        for day in days
    ]


def sign(
    day: date,
    note: str,
    *,
    by: str,
    seen: tuple[str, int],
    address: str | None = None,
    lines: Dispositions | None = None,
    in_part: bool = False,
) -> Review:
    """Sign a day, countersign it, or sign it again. `seen` is the digest and number of signatures that the page showed.

    `lines` says of single lines what became of them; the note says it of the rest, which `in_part` has to allow.
    Raises `NotSigned`, `NothingKept`, `TookTooLong`.
    """
    now, note = datetime.now(UTC), note.replace("\x00", "").strip()[:MAX_NOTE_CHARS]
    if day >= now.date():
        raise NotSigned(f"The day {day} is not over: it can be signed from 00:00 UTC on.")
    with transaction.atomic():
        _lock()
        shown, (before,) = report_to_sign(day), states([day], now)
        number = len(before.reviews) + 1
        if seen != (shown.digest, number - 1):
            raise NotSigned("Something came, or somebody signed, since this page was shown: read it again, then sign.")
        reviewed = dispositions.reviewed([*before.signatures, Signature(by, now, shown.document, lines or {})])
        _refuse_unless_said(shown, note, lines or {}, reviewed, in_part)
        _record_signature(
            shown,
            note,
            dispositions.act((review.signed_by for review in before.reviews), by),
            number,
            by,
            address,
            lines or {},
            reviewed,
        )
        values = (day, number, by, now, note, shown.exceptions, shown.digest, json.dumps(shown.document))
        sql.run(_SIGN, values)
        MissedReview.objects.filter(day=day, closed_at=None).update(closed_at=now)
    return Review.objects.get(day=day, number=number)


def _refuse_unless_said(
    shown: ExceptionReport, note: str, lines: Dispositions, reviewed: Reviewed, in_part: bool
) -> None:
    """Raises `NotSigned`."""
    for group in lines.values():
        for label, said in group.items():
            if said["is"] == "ticket" and not said["why"]:
                raise NotSigned(f"“{label}” is followed by a ticket: say which, beside it.")
    if not reviewed.left:
        return
    if not note and shown.exceptions:
        raise NotSigned("There are exceptions: say of each line, or in the note, what became of them.")
    if not in_part:
        raise NotSigned(
            f"{reviewed.left} of {reviewed.lines} lines have no disposition: choose one for each, or tick that you "
            "sign with lines not reviewed."
        )


def find_missed(now: datetime | None = None) -> list[date]:
    """Find the days that nobody signed in time; return the new ones. Raises `NothingKept`."""
    now = now or datetime.now(UTC)
    if settings.REVIEW_HOURS <= 0:
        Followed.objects.filter(name=REVIEWS).delete()
        return []
    with transaction.atomic():
        _lock()
        first = asked_since() or _begin(now)
        ended = (now - timedelta(hours=settings.REVIEW_HOURS)).date()
        days = [first + timedelta(days=n) for n in range((ended - first).days)]
        signed = set(Review.objects.filter(day__in=days).values_list("day", flat=True))
        missed = [day for day in days if day not in signed]
        for day in missed:
            _record_missed(day, now)
        if days:
            Followed.objects.filter(name=REVIEWS).update(followed_at=times.midnight(ended))
    _notify(now)
    return missed


def waiting(now: datetime | None = None) -> ReviewsWaiting:
    now, since = now or datetime.now(UTC), asked_since()
    due = 0
    if since is not None and settings.REVIEW_HOURS > 0:
        signed = Review.objects.filter(day__gte=since, number=1).count()
        due = max((now.date() - since).days - signed, 0)
    return ReviewsWaiting(due, MissedReview.objects.filter(closed_at=None, explained_at=None).count())


def due_at(day: date) -> datetime:
    """Until when a day may be signed in time."""
    return times.midnight(day) + timedelta(days=1, hours=settings.REVIEW_HOURS)


def _state(day: date, now: datetime, signed: list[Signature], missed: MissedReview | None, since: date | None) -> str:
    if signed:
        late = "signed late" if missed is not None else "signed"
        return f"{late} in part" if dispositions.reviewed(signed).left else late
    if missed is not None:
        return "missed" if missed.state == "open" else missed.state
    if day >= now.date():
        return "not over"
    return "not asked for" if settings.REVIEW_HOURS <= 0 or since is None or day < since else "due"


def asked_since() -> date | None:
    """The first day that may still be signed in time; None before reviews are asked for."""
    followed_at = Followed.objects.filter(name=REVIEWS).values_list("followed_at", flat=True).first()
    return followed_at and followed_at.date()


def _begin(now: datetime) -> date:
    """Ask for reviews from today on, and record that."""
    trail.add("audit.review.begun", actor=OWN_WRITER, correlation="reviews", first_day=now.date().isoformat())
    Followed.objects.create(name=REVIEWS, followed_at=times.midnight(now.date()))
    return now.date()


def _record_missed(day: date, now: datetime) -> None:
    missed = MissedReview(day=day, due_at=due_at(day), found_at=now)
    trail.add(
        "audit.review.missed",
        _where(day),
        actor=OWN_WRITER,
        outcome="failure",
        correlation=f"review-{day}",
        **missed.facts(),
    )
    missed.save(force_insert=True)


def _notify(now: datetime) -> None:
    untold = MissedReview.objects.filter(closed_at=None, explained_at=None, told_at=None)
    if days := sorted(untold.values_list("day", flat=True)):
        text = f"{len(days)} days were not reviewed in time, the first: {days[0]}. See the admin, Daily review."
        told = untold.filter(day__in=days)
        notify("audit.review", text, told=lambda: told.update(told_at=now), days=len(days))


def _record_signature(
    shown: ExceptionReport,
    note: str,
    event_type: str,
    number: int,
    by: str,
    address: str | None,
    lines: Dispositions,
    reviewed: Reviewed,
) -> None:
    trail.add(
        event_type,
        _where(shown.day, address),
        actor=by,
        correlation=f"review-{shown.day}",
        number=number,
        digest=shown.digest,
        exceptions=shown.exceptions,
        reviewed=str(reviewed),
        lines_reviewed=reviewed.done,
        lines_shown=reviewed.lines,
        note=note or None,
        shown=shown.document,
        lines=lines or None,
    )


def _where(day: date, address: str | None = None) -> trail.Where:
    return trail.Where(resource=("review", day.isoformat()), address=address)


def _lock() -> None:
    """One signature at a time, and none while `find_missed` is at work. Held until the transaction ends."""
    sql.run("SELECT pg_advisory_xact_lock(hashtext('audit_review'))")
