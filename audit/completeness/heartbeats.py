"""heartbeats: a writer says that it lives and which number it gave out last, and learns which numbers never came."""

from datetime import datetime, timedelta
from typing import Annotated, Any, NamedTuple

import msgspec
import structlog
from django.conf import settings
from msgspec import Meta

from audit.completeness import sequences
from audit.errors import Invalid
from audit.formats import canonical, event
from audit.models import Followed, Numbering
from audit.postgres import sql

log = structlog.get_logger(__name__)

# Runs of missing numbers that one answer names.
MAX_RUNS = 100
# A younger beat takes nothing from the one before: a writer that beats often would never be judged. A new epoch is a
# row for ever and costs its writer nothing, so there is an end to them; the one without a name is always kept.
_STORE = """
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


# Its number is in the writer's numbering, and so is what never came of it; the writer was heard since in another epoch.
_FORGET = """
DELETE FROM audit_heartbeat WHERE id IN (
    SELECT beat.id FROM audit_heartbeat beat
    WHERE beat.at < %(before)s AND beat.waiting_at IS NULL
      AND (beat.seq IS NULL OR EXISTS (SELECT FROM audit_numbering n WHERE n.writer = beat.writer
                                       AND n.epoch = beat.epoch AND n.highest >= beat.seq))
      AND EXISTS (SELECT FROM audit_heartbeat later WHERE later.writer = beat.writer AND later.at > beat.at)
    LIMIT 10000)
"""


class Beat(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a writer sends."""

    source_seq: Annotated[int, Meta(ge=1, le=canonical.MAX_SAFE_INTEGER)] | None = None
    source_epoch: Annotated[str, Meta(min_length=1, max_length=64)] | None = None


class HeartbeatAnswer(NamedTuple):
    """What the store knows of the writer's numbers, as far as the log has been read."""

    highest: int
    # The first runs of missing numbers.
    missing: list[tuple[int, int]]
    read_until: datetime | None


def beat(document: Any, *, writer: str) -> HeartbeatAnswer:
    """Store a sign of life and answer what is missing. Raises `Invalid`, database errors."""
    sent = _parse(document)
    epoch = sent.source_epoch or ""
    _store(writer, epoch, sent.source_seq)
    numbering = Numbering.objects.filter(writer=writer, epoch=epoch).first()
    return HeartbeatAnswer(
        highest=numbering.highest if numbering else 0,
        missing=[(hole.first, hole.last) for hole in sequences.missing(writer, epoch, limit=MAX_RUNS)],
        read_until=Followed.objects.filter(name=Followed.COMPLETENESS).values_list("followed_at", flat=True).first(),
    )


def forget() -> int:
    """Remove a portion of the heartbeats that are HEARTBEAT_DAYS old and counted; return how many. A writer's newest
    stays, and so does one that is still to be judged."""
    return sql.run(_FORGET, {"before": sql.now() - timedelta(days=settings.HEARTBEAT_DAYS)})


def _store(writer: str, epoch: str, seq: int | None) -> None:
    most = settings.HEARTBEAT_EPOCHS
    if sql.run(_STORE, {"writer": writer, "epoch": epoch, "seq": seq, "at": sql.now(), "most": most}):
        return
    log.warning("heartbeat_epoch_refused", writer=writer, epoch=epoch, most=most)
    raise Invalid(
        {
            "source_epoch": f"is new, and {most:,} epochs of this writer have sent heartbeats within a day, which is "
            "the limit: go on in an epoch that is known, or try again later. Events are taken in any epoch"
        }
    )


def _parse(document: Any) -> Beat:
    try:
        sent = msgspec.convert(document, Beat)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        raise Invalid({"": f"no heartbeat: {error}"}) from None
    if sent.source_epoch is not None and sent.source_seq is None:
        raise Invalid({"source_epoch": "says which numbers these are: send source_seq with it"})
    if errors := dict(event.text_faults("source_epoch", sent.source_epoch)):
        raise Invalid(errors)
    return sent
