"""An outage to be shown."""

from datetime import UTC, datetime, timedelta
from typing import Any

from audit.models import Episode


def an_episode(**changes: Any) -> Episode:
    began = datetime.now(UTC) - timedelta(days=400) + timedelta(seconds=Episode.objects.count())
    facts = {
        "began_at": began,
        "up_at": began + timedelta(minutes=4),
        "emptied_at": began + timedelta(minutes=5),
        "reasons": {"database-down": 12},
        **dict.fromkeys(("quarantined", "discarded", "left", "dead", "lost"), 0),
        **{"parked": 12, "stored": 12, "deepest": 9},
    }
    return Episode.objects.create(**facts | changes)
