"""reviews: which days were reviewed, by whom, and which nobody signed in time, from the sealed records of both.

A day is signed after it is over, so the records of the last days of a period are later than the period.
"""

from collections import defaultdict
from datetime import date
from typing import NamedTuple

from audit.reports.figures import Figure, Section, State, TableRow, counted, listing, out_of_scope, wrong
from audit.reports.snapshot import Act, Snapshot
from audit.review import dispositions
from audit.review.dispositions import COUNTERSIGNED, SIGNED, SIGNED_AGAIN, Reviewed

MISSED = "audit.review.missed"
EXPLAINED = (
    *(f"audit.{noun}.explained" for noun in ("gap", "manifest", "promise", "expectation", "account", "review")),
    "audit.episode.annotated",
)
# The version of the content from which on a report tells of lines that nobody reviewed.
TELLS_LINES = 2
MAX_ACTS, MAX_ROWS, CELL_CHARS = 20_000, 100, 200
LABELS = {
    "signed": "Days whose review is signed",
    "missed": "Days that nobody signed in time",
    "partly": "Days signed with lines that nobody reviewed",
    "late": "Days signed late",
    "countersigned": "Days that a second person signed too",
    "unasked": "Days neither signed nor missed: not asked for, or not due yet",
    "explained": "Explanations and remediations written",
}


class RecordedReview(NamedTuple):
    """The acts on one day, oldest first."""

    day: date
    signed: list[Act]
    missed: list[Act]

    @property
    def reviewed(self) -> Reviewed:
        """How many lines of what was signed last have a disposition."""
        return dispositions.reviewed(
            [
                dispositions.Signature(act.actor, act.at, act.data.get("shown") or {}, act.data.get("lines") or {})
                for act in self.signed
            ]
        )

    def lines_left(self, version: int) -> bool:
        """Whether it is signed with lines that nobody reviewed, and this version of the content tells so."""
        return version >= TELLS_LINES and bool(self.signed and self.reviewed.left)


def section(snapshot: Snapshot) -> Section:
    recorded = reviews(snapshot)
    columns = ("day", "review", "signed by", "exceptions", "note")
    rows = [_row(review, snapshot.version) for review in recorded]
    figures = _figures(snapshot, recorded) if snapshot.sees_store_acts else out_of_scope(LABELS)
    return Section(
        key="reviews",
        title="Daily reviews",
        says="A signature under a day is a record with all that was shown; a day that nobody signed in time is a "
        "record, too. Days of the period count, whenever they were signed, up to the checkpoint.",
        figures=tuple(figure for figure in figures if figure.key != "partly" or snapshot.version >= TELLS_LINES),
        tables=(listing("Each day", columns, rows, MAX_ROWS, last=True),),
    )


def reviews(snapshot: Snapshot) -> list[RecordedReview]:
    """The days of the period of which there is a record, in their order."""
    signed, missed = defaultdict[str, list[Act]](list), defaultdict[str, list[Act]](list)
    for act in reversed(snapshot.acts(SIGNED, COUNTERSIGNED, SIGNED_AGAIN, MISSED, limit=MAX_ACTS, open_end=True)):
        (missed if act.event_type == MISSED else signed)[act.resource].append(act)
    days = ((day, day.isoformat()) for day in snapshot.days)
    return [RecordedReview(day, signed[name], missed[name]) for day, name in days if signed[name] or missed[name]]


def _figures(snapshot: Snapshot, recorded: list[RecordedReview]) -> tuple[Figure, ...]:
    over = sum(day < snapshot.at.date() for day in snapshot.days)
    signed = sum(bool(review.signed) for review in recorded)
    missed = sum(bool(review.missed) for review in recorded)
    late = sum(bool(review.missed and review.signed) for review in recorded)
    twice = sum(len({act.actor for act in review.signed}) > 1 for review in recorded)
    partly = sum(review.lines_left(snapshot.version) for review in recorded)
    state: State = "none" if not signed else "exception" if signed < over or partly else "shown"
    note = "" if signed else "No daily review was signed of this period."
    if 0 < signed < over:
        note = f"{over - signed} of the days were not signed."
    if partly:
        note = f"{note} {partly} of those signed have lines that nobody reviewed.".strip()
    value, after = f"{signed} of {over}", f"after:{snapshot.first}"
    explained = snapshot.query(*(f"type:{event_type}" for event_type in EXPLAINED))
    return (
        Figure(
            key="signed", label=LABELS["signed"], value=value, state=state, query=f"type:{SIGNED} {after}", note=note
        ),
        wrong("missed", LABELS["missed"], missed, query=f"type:{MISSED} {after}"),
        wrong("partly", LABELS["partly"], partly, page="audit/review/"),
        counted("late", LABELS["late"], late, page="audit/missedreview/"),
        counted("countersigned", LABELS["countersigned"], twice, query=f"type:{COUNTERSIGNED} {after}"),
        counted("unasked", LABELS["unasked"], over - len(recorded), page="audit/review/"),
        counted("explained", LABELS["explained"], snapshot.count(*EXPLAINED), query=explained),
    )


def _row(review: RecordedReview, version: int) -> TableRow:
    state = "missed" if not review.signed else "signed late" if review.missed else "signed"
    if review.lines_left(version):
        state = f"{state}, {review.reviewed}"
    by = ", ".join(f"{act.actor} {act.at:%Y-%m-%d %H:%M}Z" for act in review.signed)
    first = review.signed[0].data if review.signed else {}
    exceptions, note = first.get("exceptions"), str(first.get("note") or "")
    count = "—" if exceptions is None else f"{exceptions:,}"
    cells = (review.day.isoformat(), state, by or "—", count, note[:CELL_CHARS])
    return TableRow(cells, f"id:{(review.signed or review.missed)[0].id}")
