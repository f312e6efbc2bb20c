"""Tell people what the store found about itself: record it, raise the alarm, and repeat until it was heard."""

from collections.abc import Callable, Mapping
from typing import Any

import structlog

import dlq.alarm
from audit.formats import event as event_format
from audit.ingest.record import record
from audit.models import OWN_WRITER

log = structlog.get_logger(__name__)


def notify(
    alarm: str,
    text: str,
    *,
    told: Callable[[], object],
    event: Mapping[str, Any] | None = None,
    **figures: int,
) -> bool:
    """Record what was found, raise the alarm, and note that it was told; return whether it was.

    1. `event` is recorded (from `own_event.document`), where it is not recorded already. Raises `NothingKept`:
       the caller finds it untold at its next run.
    2. The alarm goes out by every configured way, with `figures`.
    3. `told()` is called once each of them took it. Until then the caller has to choose it again.
    """
    log.error("alarm", alarm=alarm, text=text, **figures)
    if event is not None:
        record([event_format.accept(event, writer=OWN_WRITER)])
    if not dlq.alarm.tell(alarm, text, **figures):
        return False
    told()
    return True
