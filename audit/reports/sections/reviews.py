"""reviews: which days were reviewed, by whom, and which nobody signed in time, from the sealed records of both.

A day is signed after it is over, so the records of the last days of a period are later than the period.
"""

from collections import defaultdict
from datetime import date
from typing import NamedTuple

from audit.reports.figures import Figure, Row, Section, State, Table, counted, wrong
from audit.reports.snapshot import OUTSIDE, Act, Basis

KEYS = ("signed", "missed", "late", "countersigned", "unasked", "explained")
SIGNED, COUNTERSIGNED, MISSED = (f"audit.review.{act}" for act in ("signed", "countersigned", "missed"))
EXPLAINED = tuple(f"audit.{what}.explained" for what in ("gap", "manifest", "promise", "expectation", "account"))
WORDS = (*EXPLAINED, "audit.review.explained", "audit.episode.annotated")
MOST, NAMED, CELL = 20_000, 100, 200
LABELS = {
    "signed": "Days whose review is signed",
    "missed": "Days that nobody signed in time",
    "late": "of those, signed later",
    "countersigned": "Days that a second person signed too",
    "unasked": "Days neither signed nor missed: not asked for, or not due yet",
    "explained": "Explanations and remediations written",
}


class Reviewed(NamedTuple):
    """What was done about one day, the oldest first."""

    day: date
    signed: list[Act]
    missed: list[Act]


def section(basis: Basis) -> Section:
    """The review of each day, as people signed it."""
    found = reviewed(basis)
    return Section(
        key="reviews",
        title="Daily reviews",
        says="A signature under a day is a record with all that was shown; a day that nobody signed in time is a "
        "record, too. Days of the period count, whenever they were signed, up to the checkpoint.",
        figures=_figures(basis, found) if basis.sees_own else _outside(),
        tables=(_table(found),),
    )


def reviewed(basis: Basis) -> list[Reviewed]:
    """The days of the period of which there is a record, in their order."""
    signed, missed = defaultdict[str, list[Act]](list), defaultdict[str, list[Act]](list)
    for act in reversed(basis.listed(SIGNED, COUNTERSIGNED, MISSED, most=MOST, open_end=True)):
        (missed if act.event_type == MISSED else signed)[act.resource].append(act)
    days = ((day, day.isoformat()) for day in basis.days)
    return [Reviewed(day, signed[name], missed[name]) for day, name in days if signed[name] or missed[name]]


def _figures(basis: Basis, found: list[Reviewed]) -> tuple[Figure, ...]:
    over = sum(day < basis.at.date() for day in basis.days)
    signed = [one for one in found if one.signed]
    missed = [one for one in found if one.missed]
    late = sum(bool(one.signed) for one in missed)
    twice = sum(len({act.actor for act in one.signed}) > 1 for one in found)
    state: State = "shown" if signed else "none"
    note = "" if signed else "No daily review was signed of this period."
    value = f"{len(signed)} of {over}"
    after = f"after:{basis.first}"
    query = f"type:{SIGNED} {after}"
    words = basis.query(*(f"type:{kind}" for kind in WORDS))
    return (
        Figure(key="signed", label=LABELS["signed"], value=value, state=state, query=query, note=note),
        wrong("missed", LABELS["missed"], len(missed), query=f"type:{MISSED} {after}"),
        counted("late", LABELS["late"], late, page="audit/missedreview/"),
        counted("countersigned", LABELS["countersigned"], twice, query=f"type:{COUNTERSIGNED} {after}"),
        counted("unasked", LABELS["unasked"], over - len(found), page="audit/review/"),
        counted("explained", LABELS["explained"], basis.count(*WORDS), query=words),
    )


def _outside() -> tuple[Figure, ...]:
    return tuple(Figure(key=key, label=LABELS[key], value="—", state="none", note=OUTSIDE) for key in KEYS)


def _table(found: list[Reviewed]) -> Table:
    rows = [Row(_cells(one), f"id:{(one.signed or one.missed)[0].id}") for one in found[-NAMED:]]
    columns = ("day", "review", "signed by", "exceptions", "note")
    return Table(caption="Each day", columns=columns, rows=tuple(rows), left_off=max(len(found) - NAMED, 0))


def _cells(one: Reviewed) -> tuple[str, ...]:
    state = "missed" if not one.signed else "signed late" if one.missed else "signed"
    by = ", ".join(f"{act.actor} {act.at:%Y-%m-%d %H:%M}Z" for act in one.signed)
    first = one.signed[0].data if one.signed else {}
    exceptions, note = first.get("exceptions"), str(first.get("note") or "")
    return (one.day.isoformat(), state, by or "—", "—" if exceptions is None else f"{exceptions:,}", note[:CELL])
