"""purged: which leaves have no record any more because a purge removed it, and the certificate that says so.

That a record is gone under a purge is believed only of what a signed certificate covers, and the sealed record of the
approval allows: whoever owns the tables can note leaves as removed, and cannot sign.
"""

import hashlib
import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from audit import visibility
from audit.formats import note
from audit.formats.note import NoteError
from audit.ledger import keys
from audit.models import OWN_WRITER
from audit.postgres import sql

FORMAT = "auditsite/purge/v1"
COMPLETED = "audit.purge.completed"
# The ranges do not overlap, so the one that a place lies in is the last that begins before it.
_BETWEEN = """
SELECT first, last, plan_id FROM audit_purged
WHERE first < %(last)s AND last > %(first)s
  AND first >= coalesce((SELECT max(first) FROM audit_purged WHERE first <= %(first)s), 0)
ORDER BY first
"""
_PLANS = """
SELECT DISTINCT plan_id FROM audit_purged WHERE first < %(last)s AND last > %(first)s ORDER BY plan_id
"""
_AT = """
SELECT i.index, p.plan_id FROM unnest(%s::bigint[]) i(index) JOIN LATERAL (
    SELECT last, plan_id FROM audit_purged WHERE first <= i.index ORDER BY first DESC LIMIT 1
) p ON p.last > i.index
"""
_OF_PLAN = "SELECT first, last FROM audit_purged WHERE plan_id = %s ORDER BY first"
_PLAN = """
SELECT d.decision = 'approved' AND d.decided_by <> q.asked_by, r.ended_at < clock_timestamp() - interval '1 day'
FROM audit_retentionrequest q LEFT JOIN audit_retentiondecision d ON d.request_id = q.id
LEFT JOIN audit_purgerun r ON r.plan_id = q.id WHERE q.id = %s AND q.kind = 'purge'
"""
_COMPLETED = """
SELECT r.id, r.event_data ->> 'note' FROM audit_record r JOIN audit_leaf l ON l.record_id = r.id
WHERE r.writer = %s AND r.event_type = %s AND r.event_data @> %s::jsonb ORDER BY r.event_timestamp, r.id
"""
# What the sealed record of an approval says of its plan; and whether a hold was released since it was asked for: what
# was held then may go too. The clocks of two processes may differ by a little.
_ALLOWED = """
SELECT (a.event_data ->> 'first')::bigint, (a.event_data ->> 'size')::bigint, (a.event_data ->> 'records')::bigint,
       EXISTS (
           SELECT FROM audit_record r
           WHERE r.writer = a.writer AND r.event_type = 'audit.hold.released' AND r.event_timestamp > coalesce((
               SELECT max(q.event_timestamp) FROM audit_record q JOIN audit_leaf m ON m.record_id = q.id
               WHERE q.writer = a.writer AND q.event_type = 'audit.purge.asked'
                 AND q.actor_id = a.event_data ->> 'asked_by' AND q.event_timestamp <= a.event_timestamp
                 AND q.event_data @> (a.event_data - '{request,asked_by}'::text[])
           ), '-infinity') - interval '1 hour')
FROM audit_retentiondecision d JOIN audit_leaf l ON l.record_id = d.record_id JOIN audit_record a ON a.id = d.record_id
WHERE d.request_id = %s AND a.writer = %s AND a.event_type = 'audit.purge.approved' AND a.event_data @> %s::jsonb
"""
_OF_IDS = """
SELECT l.record_id::text, l.index, p.plan_id FROM audit_leaf l JOIN LATERAL (
    SELECT last, plan_id FROM audit_purged WHERE first <= l.index ORDER BY first DESC LIMIT 1
) p ON p.last > l.index
WHERE l.record_id = ANY(%s)
"""


class Span(NamedTuple):
    """The records of the leaves first to last - 1 were removed under a plan."""

    first: int
    last: int
    plan: int


class Standing(NamedTuple):
    """What the removals under a plan are worth: certified, not certified yet, or wrong."""

    state: str
    why: str
    certificate: UUID | None = None


def spans(first: int, last: int, using: str = "reader") -> list[Span]:
    """What was removed of the leaves first to last - 1, in order."""
    return [Span(*row) for row in sql.rows(_BETWEEN, {"first": first, "last": last}, using)]


def plan_of(index: int, within: Sequence[Span]) -> int | None:
    """Under which plan the record of this leaf was removed; None where it was not."""
    place = bisect_right(within, index, key=lambda span: span.first)
    return within[place - 1].plan if place and index < within[place - 1].last else None


def plans(first: int, last: int, using: str = "reader") -> list[int]:
    """The plans under which records of the leaves first to last - 1 were removed."""
    return [plan for (plan,) in sql.rows(_PLANS, {"first": first, "last": last}, using)]


def plans_at(indexes: Sequence[int], using: str = "reader") -> dict[int, int]:
    """The plan of each of these leaves, in order, whose record was removed."""
    if not indexes or not sql.rows("SELECT 1 FROM audit_purged LIMIT 1", using=using):
        return {}
    return dict(sql.rows(_AT, [list(indexes)], using))


def ranges_of(plan: int, using: str = "reader") -> list[tuple[int, int]]:
    """The leaves whose records were removed under a plan: first and last + 1, in as few ranges as can be."""
    return list(merged((first, last) for first, last in sql.rows(_OF_PLAN, [plan], using)))


def plans_of(ids: Sequence[Any], using: str = "reader") -> dict[str, tuple[int, int]]:
    """The leaf and the plan of each of these records that was removed."""
    return {record_id: (index, plan) for record_id, index, plan in sql.rows(_OF_IDS, [list(ids)], using)}


def absent(record_id: UUID, using: str = "reader") -> str:
    """What to say of an id that no record has. A scope is not told whether there was one."""
    if not visibility.scopes() and (found := plans_of([record_id], using).get(str(record_id))):
        index, plan = found
        return f"The record {record_id} was removed by the purge {plan}; its leaf {index} is in the log."
    return f"No record has the id {record_id}."


def standing(plan: int, using: str = "reader") -> Standing:
    """Compare what is noted as removed under a plan with its certificate. Raises `KeyMissing`."""
    found = sql.rows(_PLAN, [plan], using)
    if not found or not found[0][0]:
        return Standing("wrong", f"nobody has approved the purge {plan}")
    wanted = json.dumps({"request": plan})
    completed = sql.rows(_COMPLETED, [OWN_WRITER, COMPLETED, wanted], using)
    if not completed:
        if found[0][1]:
            return Standing("wrong", f"the purge {plan} ended more than a day ago and has no certificate")
        return Standing("open", f"the purge {plan} has no certificate yet")
    faults = []
    for record_id, text in completed:
        if (fault := _fault(plan, text or "", using)) is None:
            return Standing("certified", "", record_id)
        faults.append(fault)
    return Standing("wrong", faults[0])


def read(text: str) -> dict[str, Any]:
    """What a certificate says, once its signature was found to hold. Raises `NoteError`, `KeyMissing`."""
    body, _ = note.verify(text, keys.receipts().verifiers)
    lines = body.split("\n")
    # A log that was resumed after a restore had another name before.
    if lines[0] != FORMAT or len(lines) != 4 or not keys.load().is_ours(lines[1]):
        raise NoteError("it is no certificate of a purge of this log")
    facts: dict[str, Any] = json.loads(lines[2])
    return facts


def merged(ranges: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield ranges (first, last + 1) in order as few as can be: those that touch are one."""
    open_first = open_last = None
    for first, last in sorted(ranges):
        if open_last is not None and first <= open_last:
            open_last = max(open_last, last)
            continue
        if open_first is not None and open_last is not None:
            yield open_first, open_last
        open_first, open_last = first, last
    if open_first is not None and open_last is not None:
        yield open_first, open_last


def digest(ranges: Iterable[tuple[int, int]]) -> str:
    """SHA-256, in hexadecimal, over a line `first last` for each of the merged ranges."""
    hashed = hashlib.sha256()
    for first, last in merged(ranges):
        hashed.update(f"{first} {last}\n".encode())
    return hashed.hexdigest()


def excess(plan: int, ranges: Sequence[tuple[int, int]], records: int, using: str = "reader") -> str | None:
    """Why what was removed under a plan is more than its approval allows; None where it is not.

    Whoever owns the tables can note leaves as removed, and change what a run says of itself; of the approval there is a
    record in the log.
    """
    found = sql.rows(_ALLOWED, [plan, OWN_WRITER, json.dumps({"request": plan})], using)
    if not found:
        return f"no sealed record approves the purge {plan}"
    first, size, planned, has_released = found[0]
    noted = sum(last - first for first, last in ranges)
    if noted != records:
        return f"under the purge {plan} {noted} leaves are noted as removed, and {records} records were"
    for start, end in ranges:
        if start < first or end > size:
            leaf = start if start < first else end - 1
            return f"leaf {leaf} is none of the leaves {first} to {size - 1} of the purge {plan}"
    if records > planned and not has_released:
        return f"under the purge {plan} {records} records were removed, and {planned} were to go"
    return None


def _fault(plan: int, text: str, using: str) -> str | None:
    try:
        facts = read(text)
    except (NoteError, ValueError) as error:
        return f"the certificate of the purge {plan} does not hold: {error}"
    ranges = ranges_of(plan, using)
    if facts.get("plan") != plan or facts.get("ranges_sha256") != digest(ranges):
        return f"what is noted as removed under the purge {plan} is not what its certificate says"
    return excess(plan, ranges, facts["records"], using)
