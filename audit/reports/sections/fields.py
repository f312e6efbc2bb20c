"""fields: which share of a sample of records names who, what, when, from where, on what and with which outcome.

The sample follows from the root of the checkpoint and the days: nobody chooses it, and everybody finds the same again.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from audit import visibility
from audit.postgres import sql
from audit.reports.figures import Figure, Section, State, Table, TableRow, counted, listing, minute, needed, share
from audit.reports.snapshot import FINDS_WHAT_IT_COUNTS, Snapshot

SAMPLE_SIZE, MAX_WRITERS, MAX_TYPES = 5_000, 100, 60
KEYS = ("sampled", "who", "what", "when", "outcome", "origin", "object", "skew", "ahead", "types")
_ROWS = f"""
SELECT r.writer, r.event_type, r.event_timestamp, r.received_at, r.event_outcome, r.actor_id, r.actor_ip, r.cluster_id,
       r.resource_id, r.correlation_id
FROM audit_leaf l JOIN {sql.RECORD_OF_LEAF} WHERE l.index = ANY(%s) {{within}} ORDER BY l.index
"""
LACKING = "No record of this period could be looked at."
FIELDS = (
    ("who", "An actor is named"),
    ("what", "What happened"),
    ("when", "When it happened, UTC"),
    ("outcome", "Success or failure"),
    ("origin", "From where: an address or a cluster"),
    ("object", "On what: a resource of its own"),
)


class SampledRecord(NamedTuple):
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


def section(snapshot: Snapshot) -> Section:
    records = _records(sample(snapshot))
    return Section(
        key="fields",
        title="Completeness of fields",
        says=f"Of at most {SAMPLE_SIZE:,} records that were sealed in the period, evenly spread over the log from a "
        "start that the root of the checkpoint decides. Events without type, time and outcome are refused, "
        "and one without an actor has its service as the actor; a resource counts where it is more than the "
        "correlation.",
        figures=(*_figures(snapshot, records), *_clocks(records), _type_count(snapshot, records)),
        tables=(_writers(snapshot, records), _types(snapshot, records)),
    )


def sample(snapshot: Snapshot) -> list[int]:
    leaves = snapshot.leaves
    if len(leaves) <= SAMPLE_SIZE:
        return list(leaves)
    seed = f"{bytes(snapshot.checkpoint.root).hex()} {snapshot.first} {snapshot.last}"
    start = int(hashlib.sha256(seed.encode()).hexdigest(), 16) % len(leaves)
    return [leaves[(n * len(leaves) + start) // SAMPLE_SIZE] for n in range(SAMPLE_SIZE)]


def _records(leaves: Sequence[int]) -> list[SampledRecord]:
    within, parameters = visibility.sql_condition("r")
    return [SampledRecord(*row) for row in sql.rows(_ROWS.format(within=within), [list(leaves), *parameters])]


def _shares(records: Sequence[SampledRecord]) -> list[str]:
    """Of each field, the share of the records that have it."""
    return [share(sum(record.has(key) for record in records), len(records)) for key, _ in FIELDS]


def _figures(snapshot: Snapshot, records: Sequence[SampledRecord]) -> list[Figure]:
    figures = [needed("sampled", "Records looked at", len(records), LACKING, query=_query(snapshot))]
    state: State = "shown" if records else "none"
    note = "" if records else LACKING
    for (key, label), value in zip(FIELDS, _shares(records), strict=True):
        figures.append(Figure(key=key, label=label, value=value, state=state, note=note, query=_query(snapshot)))
    return figures


def _clocks(records: Sequence[SampledRecord]) -> list[Figure]:
    """How long after it happened an event was received: clocks that disagree show here."""
    delays = sorted((record.received_at - record.at).total_seconds() for record in records)
    value = f"{_percentile(delays, 50)}, of 99 in 100 at most {_percentile(delays, 99)}" if delays else "—"
    state: State = "shown" if delays else "none"
    note = "" if delays else LACKING
    ahead = sum(delay < 0 for delay in delays)
    return [
        Figure(key="skew", label="From event to receipt, median", value=value, state=state, note=note),
        counted("ahead", "Events with a time after their receipt", ahead, note="Such a clock is ahead of the store's."),
    ]


def _percentile(delays: Sequence[float], percent: int) -> str:
    return f"{delays[(len(delays) - 1) * percent // 100]:.3f} s"


def _type_count(snapshot: Snapshot, records: Sequence[SampledRecord]) -> Figure:
    count = len({record.event_type for record in records})
    return needed("types", "Types of events", count, "No type of event was seen.", query=_query(snapshot))


def _query(snapshot: Snapshot) -> str:
    """No search finds a sample, or a share of it; earlier versions named all records of the days."""
    return "" if snapshot.version >= FINDS_WHAT_IT_COUNTS else snapshot.query()


def _writers(snapshot: Snapshot, records: Sequence[SampledRecord]) -> Table:
    by_writer: dict[str, list[SampledRecord]] = defaultdict(list)
    for record in records:
        by_writer[record.writer].append(record)
    rows = [
        TableRow((name, len(of_writer), *_shares(of_writer)), snapshot.query(f'writer:"{name}"'))
        for name, of_writer in sorted(by_writer.items())
    ]
    caption = "Each writer: the share of the records looked at that names it"
    return listing(caption, ("writer", "records", *(key for key, _ in FIELDS)), rows, MAX_WRITERS)


def _types(snapshot: Snapshot, records: Sequence[SampledRecord]) -> Table:
    counts, newest = Counter(record.event_type for record in records), dict[str, datetime]()
    for record in records:
        newest[record.event_type] = max(record.at, newest.get(record.event_type, record.at))
    rows = [
        TableRow((name, counts[name], minute(newest[name])), snapshot.query(f"type:{name}"))
        for name in sorted(counts, key=lambda name: (-counts[name], name))
    ]
    caption = "Types of events among the records looked at"
    return listing(caption, ("type", "records", "last seen"), rows, MAX_TYPES)
