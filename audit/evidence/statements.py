"""statements: say, signed, how many records of the log match a query: often none. Each statement is itself a record.

A statement is about every leaf below its checkpoint, whenever the event happened. An event of the query's window that
was sealed late is counted; one that is sealed after the checkpoint is not.
"""

import json
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any
from uuid import UUID

import uuid_utils.compat
from django.conf import settings
from django.db import OperationalError
from django.db.models import QuerySet

from audit.errors import Invalid, Unavailable
from audit.evidence import export, record_lines, redaction
from audit.evidence.manifest import sign_note
from audit.evidence.request import Requester, parse_query
from audit.formats import event, times
from audit.formats.grammar import Query
from audit.formats.times import timestamp_text
from audit.ingest import trail
from audit.ledger import heads, reader
from audit.models import OWN_WRITER, STATEMENT, Checkpoint, Export, Leaf, Record
from audit.postgres import replica
from audit.search import cost, terms

FORMAT = "auditsite/statement/v1"
# A query that more records match needs no statement: a bundle shows them.
MAX_MATCHES = 10_000
MAX_NAMED = 100
# The store's clock and the time that a checkpoint's signature attests may differ by so much.
CLOCK_SLACK = timedelta(minutes=1)


def make(requester: Requester, text: str) -> Record:
    """Count, sign and record. Raises `Invalid`, `NotSealed`, `KeyMissing`, `NothingKept`, `Unavailable`."""
    if requester.sight:
        raise Invalid({"q": "a statement is about every record, and you may see those of some: ask for a bundle"})
    replica.require_whole()
    checkpoint, now = heads.give_out(), datetime.now(UTC)
    query = parse_query(text, now)
    if not query.terms:
        raise Invalid({"q": "is required: of everything there is a bundle, no statement"})
    redaction.refuse(query, [] if requester.may_unredacted else redaction.in_force())
    matches = _matches(Export(requested_at=now, size=checkpoint.size, checkpoint=checkpoint.number), query)
    statement_id = str(uuid_utils.compat.uuid7())
    statement = {
        "id": statement_id,
        "system": settings.SITE_NAME,
        "asked_by": requester.name,
        "made_at": timestamp_text(now),
        "query": str(query),
        **_coverage(query, now, checkpoint, matches),
        "found": len(matches),
        "records": _named(matches),
    }
    recorded = trail.add(
        STATEMENT,
        requester.where("statement", statement_id),
        actor=requester.name,
        correlation=f"statement-{statement_id}",
        query=statement["query"],
        found=statement["found"],
        records=statement["records"],
        note=_sign(statement),
        checkpoint=checkpoint.number,
        **statement["leaves"],
    )
    if recorded.state == "parked":
        raise Unavailable("The statement is recorded, in the queue: it can be seen once PostgreSQL is back.")
    return get(UUID(statement_id))


def newest_first() -> QuerySet[Record]:
    """All statements. A writer may use the event type too: only the store's own records are statements."""
    return Record.objects.filter(event_type=STATEMENT, writer=OWN_WRITER).order_by("-event_timestamp", "-id")


def get(statement_id: UUID) -> Record:
    """Raises `Record.DoesNotExist`."""
    return newest_first().get(correlation_id=f"statement-{statement_id}")


def request_bundle(statement: Record, requester: Requester, *, unredacted: bool = False) -> Export:
    """Begin the bundle that lets others check it: all leaves that it covers, under its checkpoint.

    Only an unredacted one is enough to count again. Raises `Invalid` for a requester who may not have that.
    """
    facts = statement.event_data
    return export.request(
        requester,
        first=facts["first"],
        last=facts["last"],
        as_of=facts["checkpoint"],
        unredacted=unredacted,
    )


def _matches(counted: Export, query: Query) -> list[int]:
    """The leaves that match. `counted` only carries the checkpoint and the time; it is not saved."""
    matches: list[int] = []
    try:
        for index in chain.from_iterable(record_lines.find(counted, query)):
            if len(matches) == MAX_MATCHES:
                raise Invalid({"q": f"more than {MAX_MATCHES:,} records match: narrow it, or ask for a bundle of them"})
            matches.append(index)
    except OperationalError as error:
        if not cost.was_stopped(error):
            raise
        message = f"looking takes longer than {record_lines.FIND_TIMEOUT_S} s: narrow it by time"
        raise Invalid({"q": message}) from None
    return matches


def _coverage(query: Query, now: datetime, checkpoint: Checkpoint, matches: list[int]) -> dict[str, Any]:
    """Which leaves the statement is about, and the signed checkpoints at both ends.

    No event is accepted with a time more than an hour ahead of the clock. So what was sealed an hour before the query's
    window began cannot match, and those leaves are left out.
    """
    asked = terms.plain(query, now)
    before = None
    if begins := max((term["from"] for term in asked if "from" in term), default=""):
        sealed_by = times.earlier(datetime.fromisoformat(begins), event.MAX_AHEAD + CLOCK_SLACK)
        older = Checkpoint.objects.using("reader").filter(
            created_at__lt=sealed_by, size__lt=checkpoint.size, size__gt=0
        )
        before = older.order_by("-created_at", "-number").first()
    if before is not None and matches and matches[0] < before.size:
        before = None
    return {
        "terms": asked,
        "leaves": {"first": before.size if before else 0, "last": checkpoint.size},
        "checkpoint": reader.full_note(checkpoint),
        "before": reader.full_note(before) if before else None,
    }


def _named(matches: list[int]) -> list[dict[str, Any]]:
    ids = dict(Leaf.objects.using("reader").filter(index__in=matches[:MAX_NAMED]).values_list("index", "record_id"))
    return [{"leaf": index, "event_id": str(ids[index])} for index in matches[:MAX_NAMED]]


def _sign(statement: dict[str, Any]) -> str:
    line = json.dumps(statement, sort_keys=True).replace("\x7f", "\\u007f")  # a note has no control characters
    return sign_note("statements are", FORMAT, line)
