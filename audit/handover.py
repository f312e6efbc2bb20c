"""handover: have a worker make a bundle that was asked for."""

import redis
import structlog
from django_q.tasks import async_task

from audit.models import Export

log = structlog.get_logger(__name__)


def hand_over(begun: Export) -> None:
    """Tell a worker; where none can be told, the schedule finds the bundle within a minute."""
    try:
        async_task("audit.tasks.continue_export", str(begun.pk))
    except redis.RedisError as error:
        log.warning("export_waits_for_the_schedule", export=str(begun.pk), error=type(error).__name__)
