"""The timeline page of a correlation, actor or resource: drawn and as a table, with the pauses between events."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.humanize.templatetags.humanize import intcomma
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from audit.admin.base import ReadOnly
from audit.admin.charts import lanes
from audit.admin.display import OUTCOMES, STATES, badge, time_tag
from audit.formats import times
from audit.formats.grammar import Query
from audit.formats.times import timestamp_text
from audit.models import Record
from audit.search import query, timeline


class TimelineRequest(NamedTuple):
    subject: str
    value: str
    since: datetime | None
    before: timeline.Place | None
    after: timeline.Place | None
    kept: dict[str, str]  # what leads to the same timeline again


class TimelinePage(ReadOnly):
    def timeline_view(self, request: HttpRequest) -> HttpResponse:
        self.require_view(request)
        try:
            wanted = _asked(request)
        except ValueError as error:
            messages.warning(request, str(error))
            return redirect("admin:audit_record_changelist")
        events = timeline.page(
            wanted.subject, wanted.value, since=wanted.since, before=wanted.before, after=wanted.after
        )
        records = events.records
        lasted = records[-1].event_timestamp - records[0].event_timestamp if len(records) > 1 else None
        return self.page(
            request,
            "timeline",
            title=f"Timeline of {wanted.subject} {wanted.value}",
            asked=wanted,
            steps=_steps(records),
            picture=lanes.draw(records),
            lasted="" if lasted is None else times.precise(lasted.total_seconds()),
            of=_of_how_many(wanted) if events.older or events.newer else intcomma(len(records)),
            failures=sum(record.event_outcome == "failure" for record in records),
            older=events.older and "?" + urlencode(wanted.kept | {"before": events.older}),
            newer=events.newer and "?" + urlencode(wanted.kept | {"after": events.newer}),
            newest="?" + urlencode(wanted.kept) if wanted.before or wanted.after else "",
            bundles=[(f"this {wanted.subject}", _query(wanted))],
        )


def _asked(request: HttpRequest) -> TimelineRequest:
    """Read the address. Raises `ValueError` with what is wrong with it and what to do."""
    parameters = {name: str(value).replace("\x00", "") for name, value in request.GET.items()}
    named = [name for name in timeline.SUBJECTS if parameters.get(name)]
    if len(named) != 1:
        raise ValueError("A timeline is of one correlation, actor or resource: name one of them in the address.")
    since = _read("since", times.read_time, parameters)
    before, after = (_read(name, query.read_cursor, parameters) for name in ("before", "after"))
    kept = {name: parameters[name] for name in (*named, "since") if parameters.get(name)}
    return TimelineRequest(named[0], parameters[named[0]], since, before, after, kept)


def _of_how_many(wanted: TimelineRequest) -> str:
    """Return how many events the whole timeline has; "" where counting takes too long."""
    search = query.Search(query=_query(wanted), now=datetime.now(UTC))
    counted = query.count(query.matching(search))
    return "" if counted is None else f"{intcomma(counted[0])}{'+' * counted[1]}"


def _query(wanted: TimelineRequest) -> Query:
    subject = Query().with_term(wanted.subject, wanted.value)
    return subject if wanted.since is None else subject.with_term("after", timestamp_text(wanted.since))


def _read(name: str, read: Any, parameters: dict[str, str]) -> Any:
    try:
        return read(parameters[name]) if parameters.get(name) else None
    except ValueError as error:
        raise ValueError(f"The timeline's address is damaged: {name} {error}.") from None


def _steps(records: Sequence[Record]) -> list[dict[str, Any]]:
    pauses = [later.event_timestamp - earlier.event_timestamp for earlier, later in pairwise(records)]
    texts = ["", *(f"+{times.precise(pause.total_seconds())}" for pause in pauses)][: len(records)]
    return [
        {
            "record": record,
            "at": time_tag(record.event_timestamp),
            "since": since,
            "took": times.precise(record.duration_ms / 1000) if record.duration_ms is not None else "—",
            "outcome": badge(OUTCOMES[record.event_outcome], record.event_outcome),
            "state": badge(STATES[record.state], record.state),
        }
        for record, since in zip(records, texts, strict=True)
    ]
