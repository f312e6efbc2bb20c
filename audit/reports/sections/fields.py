"""fields: whether records name who, what, when, from where, on what and with which outcome: of a sample, by writer.

Which records are looked at follows from the root of the checkpoint and the days: nobody chooses them, and everybody
finds the same ones again.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import connections

from audit import visibility
from audit.reports.figures import Figure, Row, Section, State, Table, counted, needed, share
from audit.reports.snapshot import Basis

SAMPLE, WRITERS_NAMED, TYPES_NAMED = 5_000, 100, 60
KEYS = ("sampled", "who", "what", "when", "outcome", "origin", "object", "skew", "ahead", "types")
_ROWS = """
SELECT r.writer, r.event_type, r.event_timestamp, r.received_at, r.event_outcome, r.actor_id, r.actor_ip, r.cluster_id,
       r.resource_id, r.correlation_id
FROM audit_leaf l JOIN audit_record r ON r.id = l.record_id WHERE l.index = ANY(%s) {within} ORDER BY l.index
"""
FIELDS = (
    ("who", "An actor is named"),
    ("what", "What happened"),
    ("when", "When it happened, UTC"),
    ("outcome", "Success or failure"),
    ("origin", "From where: an address or a cluster"),
    ("object", "On what: a resource of its own"),
)


class Sampled(NamedTuple):
    """What is looked at of a record."""

    writer: str
    event_type: str
    at: datetime
    received_at: datetime
    event_outcome: str
    actor_id: str
    actor_ip: str | None
    cluster_id: str | None
    resource_id: str
    correlation_id: str

    def has(self, field: str) -> bool:
        """Whether it names this."""
        return bool(
            {
                "who": self.actor_id.strip(),
                "what": self.event_type,
                "when": self.at,
                "outcome": self.event_outcome,
                "origin": self.actor_ip or self.cluster_id,
                "object": self.resource_id.strip() and self.resource_id != self.correlation_id,
            }[field]
        )


def section(basis: Basis) -> Section:
    """The fields that controls ask for."""
    rows = _rows(places(basis))
    return Section(
        key="fields",
        title="Completeness of fields",
        says=f"Of at most {SAMPLE:,} records that were sealed in the period, evenly spread over the log from a "
        "start that the root of the checkpoint decides. Events without type, time and outcome are refused, "
        "and one without an actor has its service as the actor; a resource counts where it is more than the "
        "correlation.",
        figures=(*_figures(basis, rows), *_clocks(basis, rows), _kinds(basis, rows)),
        tables=(_writers(basis, rows), _types(basis, rows)),
    )


def places(basis: Basis) -> list[int]:
    """The leaves of the sample."""
    leaves = basis.leaves
    if len(leaves) <= SAMPLE:
        return list(leaves)
    words = f"{bytes(basis.checkpoint.root).hex()} {basis.first} {basis.last}"
    start = int(hashlib.sha256(words.encode()).hexdigest(), 16) % len(leaves)
    return [leaves[(n * len(leaves) + start) // SAMPLE] for n in range(SAMPLE)]


def _rows(places: Sequence[int]) -> list[Sampled]:
    within, parameters = visibility.sql_condition("r")
    with connections["default"].cursor() as cursor:
        cursor.execute(_ROWS.format(within=within), [list(places), *parameters])
        return [Sampled(*row) for row in cursor.fetchall()]


def _figures(basis: Basis, rows: Sequence[Sampled]) -> list[Figure]:
    lacking = "No record of this period could be looked at."
    found = [needed("sampled", "Records looked at", len(rows), lacking, query=basis.query())]
    for key, label in FIELDS:
        value = share(sum(one.has(key) for one in rows), len(rows))
        note = "" if rows else lacking
        state: State = "shown" if rows else "none"
        found.append(Figure(key=key, label=label, value=value, state=state, note=note, query=basis.query()))
    return found


def _clocks(basis: Basis, rows: Sequence[Sampled]) -> list[Figure]:
    """How long after it happened an event was received: clocks that disagree show here."""
    delays = sorted((one.received_at - one.at).total_seconds() for one in rows)
    lacking = "No record of this period could be looked at."
    value = f"{_seconds(delays, 50)}, of 99 in 100 at most {_seconds(delays, 99)}" if delays else "—"
    state: State = "shown" if delays else "none"
    ahead = sum(one < 0 for one in delays)
    note = "" if delays else lacking
    return [
        Figure(key="skew", label="From event to receipt, median", value=value, state=state, note=note),
        counted("ahead", "Events with a time after their receipt", ahead, note="Such a clock is ahead of the store's."),
    ]


def _seconds(delays: Sequence[float], part: int) -> str:
    return f"{delays[(len(delays) - 1) * part // 100]:.3f} s"


def _kinds(basis: Basis, rows: Sequence[Sampled]) -> Figure:
    count = len({one.event_type for one in rows})
    return needed("types", "Types of events", count, "No type of event was seen.", query=basis.query())


def _writers(basis: Basis, rows: Sequence[Sampled]) -> Table:
    groups: dict[str, list[Sampled]] = defaultdict(list)
    for one in rows:
        groups[one.writer].append(one)
    lines = [
        Row(
            (name, len(of_it), *(share(sum(one.has(key) for one in of_it), len(of_it)) for key, _ in FIELDS)),
            basis.query(f'writer:"{name}"'),
        )
        for name, of_it in sorted(groups.items())
    ]
    return Table(
        caption="Each writer: the share of the records looked at that names it",
        columns=("writer", "records", *(key for key, _ in FIELDS)),
        rows=tuple(lines[:WRITERS_NAMED]),
        left_off=max(len(lines) - WRITERS_NAMED, 0),
    )


def _types(basis: Basis, rows: Sequence[Sampled]) -> Table:
    counts, newest = Counter(one.event_type for one in rows), dict[str, datetime]()
    for one in rows:
        newest[one.event_type] = max(one.at, newest.get(one.event_type, one.at))
    ranked = sorted(counts, key=lambda kind: (-counts[kind], kind))
    lines = [
        Row((kind, counts[kind], f"{newest[kind]:%Y-%m-%d %H:%M}Z"), basis.query(f"type:{kind}"))
        for kind in ranked[:TYPES_NAMED]
    ]
    return Table(
        caption="Types of events among the records looked at",
        columns=("type", "records", "last seen"),
        rows=tuple(lines),
        left_off=max(len(ranked) - TYPES_NAMED, 0),
    )
