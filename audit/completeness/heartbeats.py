"""heartbeats: a writer says that it lives and which number it gave out last, and learns which events never came."""

from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple

import msgspec
import structlog
from django.conf import settings
from django.db import connections
from msgspec import Meta

from audit.completeness import sequences
from audit.errors import Invalid
from audit.formats import canonical, event
from audit.models import Followed, Numbering

log = structlog.get_logger(__name__)

RUNS = 100
"""How many runs of missing numbers one answer names."""
# A younger beat takes nothing from the one before: a writer that beats often would never be judged. A new epoch is a
# row for ever and costs its writer nothing, so there is an end to them; the one without a name is always kept.
_KEEP = """
INSERT INTO audit_heartbeat AS known (writer, epoch, seq, at, waiting_seq, waiting_at)
SELECT %(writer)s, %(epoch)s, %(seq)s::bigint, %(at)s, %(seq)s::bigint,
    CASE WHEN %(seq)s::bigint IS NOT NULL THEN %(at)s::timestamptz END
WHERE %(epoch)s = '' OR EXISTS (SELECT FROM audit_heartbeat WHERE writer = %(writer)s AND epoch = %(epoch)s)
    OR %(most)s > (SELECT count(*) FROM (
        SELECT FROM audit_heartbeat WHERE writer = %(writer)s AND at > %(at)s - interval '1 day' LIMIT %(most)s
    ) lately)
ON CONFLICT (writer, epoch) DO UPDATE SET
    seq = greatest(known.seq, excluded.seq), at = greatest(known.at, excluded.at),
    waiting_seq = coalesce(known.waiting_seq, excluded.waiting_seq),
    waiting_at = coalesce(known.waiting_at, excluded.waiting_at)
"""


class Beat(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a writer sends."""

    source_seq: Annotated[int, Meta(ge=1, le=canonical.MAX_SAFE_INTEGER)] | None = None
    source_epoch: Annotated[str, Meta(min_length=1, max_length=64)] | None = None


class Known(NamedTuple):
    """What the store knows of the writer's numbers, as far as the log has been read."""

    highest: int
    missing: list[tuple[int, int]]
    """The first runs of numbers that came no more than the numbers after them did."""
    read_until: datetime | None


def beat(document: Any, *, writer: str) -> Known:
    """Keep a sign of life and answer what is missing. Raises `Invalid`, database errors."""
    said = _read(document)
    epoch = said.source_epoch or ""
    _keep(writer, epoch, said.source_seq)
    known = Numbering.objects.filter(writer=writer, epoch=epoch).first()
    return Known(
        highest=known.highest if known else 0,
        missing=[(hole.first, hole.last) for hole in sequences.missing(writer, epoch, limit=RUNS)],
        read_until=Followed.objects.filter(name=Followed.COMPLETENESS).values_list("followed_at", flat=True).first(),
    )


def _keep(writer: str, epoch: str, seq: int | None) -> None:
    said = {"writer": writer, "epoch": epoch, "seq": seq, "at": datetime.now(UTC), "most": settings.HEARTBEAT_EPOCHS}
    with connections["default"].cursor() as cursor:
        cursor.execute(_KEEP, said)
        if cursor.rowcount:
            return
    log.warning("heartbeat_epoch_refused", writer=writer, epoch=epoch, most=settings.HEARTBEAT_EPOCHS)
    most = f"{settings.HEARTBEAT_EPOCHS:,}"
    raise Invalid(
        {
            "source_epoch": f"is new, and {most} epochs of this writer have sent heartbeats within a day, which is the "
            "limit: go on in an epoch that is known, or try again later. Events are taken in any epoch"
        }
    )


def _read(document: Any) -> Beat:
    try:
        said = msgspec.convert(document, Beat)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        raise Invalid({"": f"no heartbeat: {error}"}) from None
    if said.source_epoch is not None and said.source_seq is None:
        raise Invalid({"source_epoch": "says which numbers these are: send source_seq with it"})
    if errors := dict(event.text_faults("source_epoch", said.source_epoch)):
        raise Invalid(errors)
    return said
