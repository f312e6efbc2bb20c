"""handover: have a worker make a bundle or a report that was asked for."""

import redis
import structlog
from django_q.tasks import async_task

from audit.models import Export, Report

log = structlog.get_logger(__name__)


def hand_over(begun: Export | Report) -> None:
    """Tell a worker; where none can be told, the schedule finds it within a minute."""
    kind = "export" if isinstance(begun, Export) else "report"
    try:
        async_task(f"audit.tasks.continue_{kind}", str(begun.pk))
    except redis.RedisError as error:
        log.warning(f"{kind}_waits_for_the_schedule", key=str(begun.pk), error=type(error).__name__)
