"""statements: say, signed, how many records of the log match a query: none, most of all. Each is itself a record.

It is about every leaf below its checkpoint, whenever the event happened: an event of the window of time that was sealed
late is counted, one that is sealed after the checkpoint is not.
"""

import json
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any
from uuid import UUID

import uuid_utils.compat
from django.conf import settings
from django.db import OperationalError

from audit.errors import Invalid, KeyMissing, Unavailable
from audit.evidence import export, record_lines, redaction, request
from audit.evidence.request import Asker
from audit.formats import event, note, terms
from audit.formats.grammar import Query
from audit.formats.times import timestamp_text
from audit.ingest import trail
from audit.ingest.trail import Where
from audit.ledger import keys, reader
from audit.models import OWN_WRITER, STATEMENT, Checkpoint, Export, Leaf, Record
from audit.search import cost

FORMAT = "auditsite/statement/v1"
MOST = 10_000
"""A query of which more than this match needs no statement: a bundle shows them."""
NAMED = 100
SLACK = timedelta(minutes=1)
"""The store's clock and the signature of a checkpoint need not agree to the second."""


def make(asker: Asker, text: str) -> Record:
    """Count, sign and record. Raises `Invalid`, `NotSealed`, `KeyMissing`, `NothingKept`, `Unavailable`."""
    if asker.sight:
        raise Invalid({"q": "a statement is about every record, and you may see those of some: ask for a bundle"})
    head, now = reader.signed_head(), datetime.now(UTC)
    counted = Export(requested_at=now, size=head.size, checkpoint=head.number)
    query = request.read(text, now)
    if not query.terms:
        raise Invalid({"q": "is required: of everything there is a bundle, no statement"})
    redaction.refuse(query, [] if asker.may_unredacted else redaction.in_force())
    found = _found(counted, query)
    statement_id = str(uuid_utils.compat.uuid7())
    said = {
        "id": statement_id,
        "system": settings.SITE_NAME,
        "asked_by": asker.name,
        "made_at": timestamp_text(now),
        "query": str(query),
        **_covered(query, now, head, found),
        "found": len(found),
        "records": _named(found),
    }
    said_and_signed = {"note": _sign(said), "checkpoint": head.number, **said["leaves"]}
    receipt = trail.add(
        STATEMENT,
        Where("service" if asker.by_service else "user", "security", ("statement", statement_id), asker.address),
        actor=asker.name,
        correlation=f"statement-{statement_id}",
        query=said["query"],
        found=said["found"],
        records=said["records"],
        **said_and_signed,
    )
    if receipt.state == "parked":
        raise Unavailable("The statement is recorded, in the queue: it can be seen once PostgreSQL is back.")
    return get(UUID(statement_id))


def made() -> Any:
    """All statements, the newest first: as the store says it, for a writer may call its own events the same."""
    return Record.objects.filter(event_type=STATEMENT, writer=OWN_WRITER).order_by("-event_timestamp", "-id")


def get(statement_id: UUID) -> Record:
    """One of them. Raises `Record.DoesNotExist`."""
    found: Record = made().get(correlation_id=f"statement-{statement_id}")
    return found


def bundle(statement: Record, asker: Asker) -> Export:
    """Begin the bundle that lets anybody check it: all leaves that it covers, under its checkpoint, whole."""
    said = statement.event_data
    return export.ask(
        asker,
        first=said["first"],
        last=said["last"],
        as_of=said["checkpoint"],
        unredacted=asker.may_unredacted,
    )


def _found(counted: Export, query: Query) -> list[int]:
    found: list[int] = []
    try:
        for index in chain.from_iterable(record_lines.find(counted, query)):
            if len(found) == MOST:
                raise Invalid({"q": f"more than {MOST:,} records match: narrow it, or ask for a bundle of them"})
            found.append(index)
    except OperationalError as error:
        if not cost.was_stopped(error):
            raise
        raise Invalid({"q": f"looking takes longer than {record_lines.FIND_S} s: narrow it by time"}) from None
    return found


def _covered(query: Query, now: datetime, head: Checkpoint, found: list[int]) -> dict[str, Any]:
    """Which leaves it is about, and the signed heads of the log at both ends.

    No event is taken that is more than an hour ahead of the clock: what was sealed an hour before the window of time
    began cannot be of it.
    """
    asked = terms.plain(query, now)
    before = None
    if begins := max((term["from"] for term in asked if "from" in term), default=""):
        sealed_by = datetime.fromisoformat(begins) - event.MAX_AHEAD - SLACK
        older = Checkpoint.objects.using("reader").filter(created_at__lt=sealed_by, size__lt=head.size, size__gt=0)
        before = older.first()
    if before is not None and found and found[0] < before.size:
        before = None
    return {
        "terms": asked,
        "leaves": {"first": before.size if before else 0, "last": head.size},
        "checkpoint": reader.full_note(head),
        "before": reader.full_note(before) if before else None,
    }


def _named(found: list[int]) -> list[dict[str, Any]]:
    ids = dict(Leaf.objects.using("reader").filter(index__in=found[:NAMED]).values_list("index", "record_id"))
    return [{"leaf": index, "event_id": str(ids[index])} for index in found[:NAMED]]


def _sign(said: dict[str, Any]) -> str:
    signer = keys.receipts().signer
    if signer is None:
        raise KeyMissing("This process has only public keys of receipts, and statements are signed: RECEIPT_KEY_FILE.")
    line = json.dumps(said, sort_keys=True).replace("\x7f", "\\u007f")  # no control character stands in a note
    text = f"{FORMAT}\n{keys.load().origin}\n{line}\n"
    return note.join(text, [signer.sign(text)])
