"""outages: keep each outage for good, with its exact account, once nothing of it is left to be tried.

1. Record it: the figures are an event of the store's own, and so under the seal.
2. Keep it as a row that people can list, and write their remediation to (PCI DSS 10.7.3).
3. Only then does the queue forget that it was open.
"""

from datetime import UTC, datetime

import structlog

import dlq.outage
import dlq.stream
from audit.ingest import trail
from audit.models import OWN_WRITER, Episode
from audit.postgres.gateway import is_up

log = structlog.get_logger(__name__)

NOTE_CHARACTERS = 5_000


def look() -> Episode | None:
    """Follow the outage that is open; return it when it is over. Raises `Refused`, `NothingKept`, database errors."""
    kept: list[Episode] = []
    queue = dlq.stream.for_drain()
    closed = dlq.outage.follow(queue, database_up=is_up, keep=lambda episode: kept.append(_keep(episode)))
    if closed is None:
        return None
    log.warning("dlq_episode_over", parked=closed.parked, stored=closed.stored, dead=closed.dead, lost=closed.lost)
    return kept[-1]


def annotate(episode: Episode, note: str, *, by: str) -> None:
    """Say what was done about it. The words are recorded before they stand on the page. Raises `NothingKept`."""
    text = note.replace("\x00", "").strip()[:NOTE_CHARACTERS]
    trail.add("audit.episode.annotated", actor=by, correlation=_correlation(episode.began_at), note=text)
    episode.note, episode.noted_by, episode.noted_at = text, by, datetime.now(UTC)
    episode.save(update_fields=["note", "noted_by", "noted_at"])


def _keep(episode: dlq.outage.QueueOutage) -> Episode:
    facts = {
        "reasons": episode.reasons,
        "parked": episode.parked,
        "stored": episode.stored,
        "quarantined": episode.quarantined,
        "discarded": episode.discarded,
        "left": episode.left,
        "dead": episode.dead,
        "deepest": episode.deepest,
        "lost": episode.lost,
    }
    times = {"up_at": episode.up_at, "emptied_at": episode.emptied_at}
    trail.add(
        "audit.episode.ended",
        actor=OWN_WRITER,
        outcome="failure" if episode.lost else "success",
        correlation=_correlation(episode.began_at),
        began_at=episode.began_at.isoformat(),
        **{name: at and at.isoformat() for name, at in times.items()},
        **facts,
    )
    kept, _ = Episode.objects.update_or_create(began_at=episode.began_at, defaults=facts | times)
    return kept


def _correlation(began_at: datetime) -> str:
    return f"episode-{began_at.astimezone(UTC).isoformat(timespec='milliseconds')}"
