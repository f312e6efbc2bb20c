"""Keep each outage for good, with its exact account, once nothing of it is left to be tried.

1. Record it: the figures are an event of the store's own, and so under the seal.
2. Keep it as a row that people can list, and write their remediation to (PCI DSS 10.7.3).
3. Only then does the queue forget that it was open.
"""

from datetime import UTC, datetime

import structlog
from django.conf import settings

import dlq.outage
import dlq.stream
from audit.ingest import trail
from audit.models import OWN_WRITER, Episode
from audit.postgres.gateway import is_up
from audit.safe_text import storable

log = structlog.get_logger(__name__)

NOTE_CHARACTERS = 5_000
FIGURES = ("reasons", "parked", "stored", "quarantined", "discarded", "left", "dead", "deepest", "lost")


def follow() -> Episode | None:
    """Follow the open outage; return it when it is over, unless it was a blip: those are only counted.

    An outage lasted OUTAGE_MIN_S, parked OUTAGE_MIN_EVENTS, or left something. Raises `Refused`, `NothingKept`,
    database errors.
    """
    kept: list[Episode] = []

    def keep(outage: dlq.outage.QueueOutage) -> None:
        if not _is_blip(outage):
            kept.append(_keep(outage))

    queue = dlq.stream.for_drain()
    closed = dlq.outage.follow(queue, database_up=is_up, keep=keep)
    if closed is None:
        return None
    if not kept:
        dlq.outage.count_blip(queue, closed)
        log.info("dlq_blip", parked=closed.parked, lasted_s=closed.lasted_s)
        return None
    log.warning("dlq_episode_over", parked=closed.parked, stored=closed.stored, dead=closed.dead, lost=closed.lost)
    return kept[-1]


def _is_blip(outage: dlq.outage.QueueOutage) -> bool:
    cost = outage.lost or outage.dead or outage.quarantined or outage.discarded or outage.left
    return not cost and outage.lasted_s < settings.OUTAGE_MIN_S and outage.parked < settings.OUTAGE_MIN_EVENTS


def annotate(outage: Episode, note: str, *, by: str) -> None:
    """Keep what was done about an outage, recorded first. Raises `NothingKept`."""
    text = storable(note.strip(), NOTE_CHARACTERS)
    trail.add("audit.episode.annotated", actor=by, correlation=_correlation(outage.began_at), note=text)
    outage.note, outage.noted_by, outage.noted_at = text, by, datetime.now(UTC)
    outage.save(update_fields=["note", "noted_by", "noted_at"])


def _keep(outage: dlq.outage.QueueOutage) -> Episode:
    facts = {name: getattr(outage, name) for name in FIGURES}
    times = {"up_at": outage.up_at, "emptied_at": outage.emptied_at}
    trail.add(
        "audit.episode.ended",
        actor=OWN_WRITER,
        outcome="failure" if outage.lost else "success",
        correlation=_correlation(outage.began_at),
        began_at=outage.began_at.isoformat(),
        **{name: at and at.isoformat() for name, at in times.items()},
        **facts,
    )
    return Episode.objects.update_or_create(began_at=outage.began_at, defaults=facts | times)[0]


def _correlation(began_at: datetime) -> str:
    return f"episode-{began_at.astimezone(UTC).isoformat(timespec='milliseconds')}"
