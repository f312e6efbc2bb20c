"""The daily review: a calendar of days, and a page for each day with its exceptions and signatures."""

from calendar import Calendar
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from audit.access import client
from audit.admin.base import ReadOnly, post_act
from audit.admin.completeness.discrepancy import DiscrepancyAdmin
from audit.admin.display import badge, number, time_column, time_tag
from audit.admin.search import query_bar
from audit.errors import AuditError
from audit.formats.times import timestamp_text
from audit.models import MissedReview, Review
from audit.review import dispositions, signoff
from audit.review.dispositions import Dispositions
from audit.review.exception_report import FINDINGS, ExceptionGroup, ExceptionReport, ExceptionRow
from audit.review.signoff import ReviewState
from audit.search.cost import TookTooLong

TOO_LONG = "This day has more than can be counted here: look at its records, an hour at a time."
FIRST_YEAR = 1970
# So far back a day is looked for that waits to be signed.
DUE_DAYS = 60
IN_WORDS = {"not asked for": "no review required", "not over": "in progress"}
ACTS = {
    dispositions.SIGNED: "signed",
    dispositions.COUNTERSIGNED: "countersigned",
    dispositions.SIGNED_AGAIN: "signed again by the same person",
}


@admin.register(Review)
class ReviewAdmin(ReadOnly):
    views: ClassVar[dict[str, str]] = {
        "day/<str:day>/": "day",
        "day/<str:day>/review.json": "json",
        "day/<str:day>/sign/": "sign",
    }

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        self.require_view(request)
        today = datetime.now(UTC).date()
        month = _month(request.GET.get("month", ""), today)
        return self.page(
            request,
            "list",
            title="Daily review",
            month=month,
            weeks=_weeks(month),
            before=(month - timedelta(days=1)).replace(day=1) if month.year > FIRST_YEAR else None,
            after=(month + timedelta(days=31)).replace(day=1) if month < today.replace(day=1) else None,
            waiting=signoff.waiting(),
            due=_next_due(today),
            since=signoff.asked_since(),
        )

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        return redirect("admin:audit_review_day", self.row_or_404(request, object_id).day.isoformat())

    def day_view(self, request: HttpRequest, day: str) -> HttpResponse:
        self.require_view(request)
        return self._day_page(request, _day(day))

    def _day_page(self, request: HttpRequest, asked: date) -> HttpResponse:
        """The page of a day; after a refusal with what was typed, as long as it shows the same."""
        today = datetime.now(UTC).date()
        try:
            report = signoff.report_to_sign(asked)
        except (AuditError, TookTooLong) as error:
            messages.error(request, TOO_LONG if isinstance(error, TookTooLong) else str(error))
            return redirect("admin:audit_review_changelist")
        (review,) = signoff.states([asked])
        typed = request.POST if request.POST.get("digest") == report.digest else QueryDict()
        lines = _Lines(asked, review, report, typed)
        groups = [(group, lines.of(group)) for group in report.groups if group.rows]
        can_sign = request.user.has_perm("audit.sign_review")
        return self.page(
            request,
            "day",
            title=f"Review of {asked}",
            report=report,
            state=_badge(review),
            review=review,
            signatures=[(row, time_tag(row.signed_at), ACTS[act], reviewed) for row, act, reviewed in _acts(review)],
            reviewed=dispositions.Reviewed(len(lines.standing), len(dispositions.lines_of(report.document))),
            added_since=_added_since(report, review),
            exceptions=[(group, rows) for group, rows in groups if group.counts],
            informational=[(group, rows) for group, rows in groups if not group.counts],
            empty=[group.title for group in report.groups if group.counts and not group.rows],
            dispositions=dispositions.DISPOSITIONS,
            has_said=bool(lines.history),
            typed_note=typed.get("note", ""),
            can_sign=can_sign,
            may_sign=can_sign and asked < today,
            has_signed=request.user.get_username() in {signature.signed_by for signature in review.reviews},
            due_at=time_tag(signoff.due_at(asked)),
            since=signoff.asked_since(),
            before=asked - timedelta(days=1),
            after=asked + timedelta(days=1) if asked < today else None,
        )

    def json_view(self, request: HttpRequest, day: str) -> HttpResponse:
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        self.require_view(request)
        asked = _day(day)
        try:
            report = signoff.report_to_sign(asked)
        except TookTooLong:
            return JsonResponse({"error": TOO_LONG}, status=503)
        except AuditError as error:
            return JsonResponse({"error": str(error)}, status=403)
        return JsonResponse(_as_json(report, *signoff.states([asked])))

    def sign_view(self, request: HttpRequest, day: str) -> HttpResponse:
        signed = _day(day)

        def sign() -> None:
            seen = request.POST.get("digest", ""), number(request.POST.get("signatures", ""))
            by, address = request.user.get_username(), client.address(request)
            try:
                lines = _lines(request, signoff.report_to_sign(signed))
                note, in_part = request.POST.get("note", ""), "partly" in request.POST
                signoff.sign(signed, note, by=by, seen=seen, address=address, lines=lines, in_part=in_part)
            except TookTooLong:
                raise signoff.NotSigned(TOO_LONG) from None

        back, text = reverse("admin:audit_review_day", args=[day]), f"The review of {signed} is signed, and recorded."
        return post_act(
            request,
            "audit.sign_review",
            sign,
            text,
            back=back,
            refusal="Not signed",
            refused=lambda _: self._day_page(request, signed),
        )


@admin.register(MissedReview)
class MissedReviewAdmin(DiscrepancyAdmin):
    list_display = ("day", "state_badge", "due", "owner")

    def detail(self, request: HttpRequest, finding: MissedReview) -> dict[str, Any]:
        return {
            "title": f"Missed: {finding}",
            "due_at": time_tag(finding.due_at),
            "asked": "Why nobody reviewed this day in time",
            "unsaid": "Nobody has said yet why this day was not reviewed in time.",
        }

    due = time_column("time was up (UTC)", "due_at")


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise Http404("A day is written 2026-08-18.") from None
    if day.isoformat() != text or day.year < FIRST_YEAR or day > datetime.now(UTC).date():
        raise Http404(f"There is nothing to review of {day}: a day is looked through when it has begun.")
    return day


def _month(text: str, today: date) -> date:
    """Return the first of the month that an address names; where it names none, of that of yesterday, which waits."""
    yesterday = today - timedelta(days=1)
    try:
        month = date.fromisoformat(f"{text}-01")
    except ValueError:
        month = yesterday
    return (month if month.year >= FIRST_YEAR and month <= today else yesterday).replace(day=1)


def _weeks(month: date) -> list[list[dict[str, Any] | None]]:
    weeks = Calendar().monthdatescalendar(month.year, month.month)
    states = {state.day: state for state in signoff.states(day for week in weeks for day in week)}
    return [[_calendar_day(states[day]) if day.month == month.month else None for day in week] for week in weeks]


def _next_due(today: date) -> date | None:
    """Return the newest day that waits to be signed, of the last weeks; None where none does."""
    days = signoff.states(today - timedelta(days=ago) for ago in range(1, DUE_DAYS))
    return next((review.day for review in days if review.state in ("due", "missed")), None)


def _calendar_day(review: ReviewState) -> dict[str, Any]:
    who = ", ".join(dict.fromkeys(signature.signed_by for signature in review.reviews))
    has_begun = review.day <= datetime.now(UTC).date()
    reviewed = str(review.reviewed) if review.reviewed.left else ""
    return {"day": review.day, "state": _badge(review), "who": who, "has_begun": has_begun, "reviewed": reviewed}


def _badge(review: ReviewState) -> SafeString:
    level, text = signoff.STATES[review.state], IN_WORDS.get(review.state, review.state)
    return format_html('<span class="quiet">{}</span>', text) if level == "pending" else badge(level, text)


def _added_since(report: ExceptionReport, review: ReviewState) -> int:
    """Exceptions that the last signature did not show."""
    return report.added_since(review.reviews[-1].shown) if review.reviews else 0


def _field(group: ExceptionGroup, place: int) -> str:
    return f"{group.name}-{place}"


def _acts(review: ReviewState) -> list[tuple[Review, str, dispositions.Reviewed]]:
    """Each signature of a day, the event type of its record, and how many lines had a disposition with it."""
    signers = [signature.by for signature in review.signatures]
    return [
        (row, dispositions.act(signers[:place], row.signed_by), dispositions.reviewed(review.signatures[: place + 1]))
        for place, row in enumerate(review.reviews)
    ]


class _Lines:
    """The lines of a day as its page shows them: what was said of each, by whom, and what the form holds."""

    def __init__(self, day: date, review: ReviewState, report: ExceptionReport, typed: QueryDict):
        self.day, self.typed = day, typed
        self.history = dispositions.history(review.signatures)
        self.standing = dispositions.standing(review.signatures, report.document)

    def of(self, group: ExceptionGroup) -> list[dict[str, Any]]:
        return [
            {
                "row": row,
                "url": _address(self.day, group, row),
                "said": [(said, time_tag(said.at)) for said in reversed(self.history.get((group.name, row.label), []))],
                "standing": self.standing.get((group.name, row.label)),
                "field": (field := _field(group, place)),
                "chosen": self.typed.get(f"is-{field}", ""),
                "why": self.typed.get(f"why-{field}", ""),
            }
            for place, row in enumerate(group.rows)
        ]


def _lines(request: HttpRequest, report: ExceptionReport) -> Dispositions:
    """What the form says of single lines, in the order in which they are shown: the digest holds that order."""
    lines: Dispositions = {}
    for group in (group for group in report.groups if group.counts):
        for place, row in enumerate(group.rows):
            field = _field(group, place)
            if (chosen := request.POST.get(f"is-{field}")) in dispositions.DISPOSITIONS:
                why = client.text(request.POST.get(f"why-{field}", "").strip(), signoff.MAX_REASON_CHARS)
                lines.setdefault(group.name, {})[row.label] = {"is": str(chosen), "why": why}
    return lines


def _address(day: date, group: ExceptionGroup, row: ExceptionRow) -> str:
    """The page with what the row counts; "" where there is none."""
    if row.query:
        return f"{reverse('admin:audit_record_changelist')}?{query_bar.parameters(row.query)}"
    if (model := FINDINGS.get(row.label)) is not None:
        return reverse(f"admin:audit_{model._meta.model_name}_changelist")
    if group.name in ("rejected", "account"):
        return f"{reverse('admin:audit_account_changelist')}?first={day}&last={day}"
    return reverse("admin:audit_verification_changelist") if group.name == "verified" else ""


def _as_json(report: ExceptionReport, review: ReviewState) -> dict[str, Any]:
    signatures = [
        {
            "number": signature.number,
            "signed_by": signature.signed_by,
            "signed_at": timestamp_text(signature.signed_at),
            "note": signature.note or None,
            "exceptions": signature.exceptions,
            "digest": signature.digest,
            "act": act.rsplit(".", 1)[-1],
            "lines_reviewed": reviewed.done,
            "lines": reviewed.lines,
        }
        for signature, act, reviewed in _acts(review)
    ]
    facts = {"state": review.state, "digest": report.digest, "came_after": _added_since(report, review)}
    return report.document | facts | {"signatures": signatures}
