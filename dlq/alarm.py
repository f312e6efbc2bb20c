"""Send the alarms of the queue by webhook and e-mail, without PostgreSQL, each until it succeeded once.

The depth alarm is raised and cleared inside the scripts that change the depth, so that it holds for all processes
together; the error in the log comes at that moment. The watcher and the schedule send it: no writer waits for it.
"""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Callable

import structlog
from django.conf import settings
from django.core.mail import send_mail

from dlq import stream as streams

log = structlog.get_logger(__name__)

TIMEOUT_S = 3.0
DAY_S = 86_400
# How long the oldest message may wait before the next alarm.
AGES_S = (3_600, DAY_S, 3 * DAY_S, 6 * DAY_S)

Way = Callable[[str, str, dict[str, int]], None]


def notify() -> None:
    """Send the alarms that were not sent before. Raises `Refused`."""
    queue = streams.for_drain()
    state, stats = queue.alarms.read(), queue.totals.stats()
    if "depth_since" in state and state.get("depth_told") != state["depth_since"]:
        text = f"{stats.depth} events are parked (alert above {settings.DLQ_ALERT_DEPTH}). Is PostgreSQL up?"
        if tell("dlq.depth", text, depth=stats.depth):
            queue.alarms.remember("depth_told", state["depth_since"])
    _notify_of_age(queue, state)
    _notify_of_forgeries(queue, state)
    if stats.dead > int(state.get("dead_told", 0)):
        text = f"{stats.dead} parked events are dead: they need a person. See the admin, dead letter queue."
        log.error("dlq_dead_alarm", dead=stats.dead)
        if tell("dlq.dead", text, dead=stats.dead):
            queue.alarms.remember("dead_told", str(stats.dead))
    elif stats.dead < int(state.get("dead_told", 0)):
        queue.alarms.remember("dead_told", str(stats.dead))


def _notify_of_age(queue: streams.Stream, state: dict[str, str]) -> None:
    """Tell when the oldest message passes an hour, a day, three and six days. After seven days it is quarantined."""
    age, told = queue.pages.oldest_age(), int(state.get("age_told", 0))
    reached = sum(age >= limit for limit in AGES_S)
    if reached > told:
        text = f"The oldest parked event waits for {age / 3600:.0f} hours. After seven days it is quarantined."
        log.error("dlq_age_alarm", hours=round(age / 3600))
        if tell("dlq.age", text, hours=round(age / 3600)):
            queue.alarms.remember("age_told", str(reached))
    elif reached < told:
        queue.alarms.remember("age_told", str(reached))


def _notify_of_forgeries(queue: streams.Stream, state: dict[str, str]) -> None:
    """Tell each time that more messages were found that this store did not park."""
    forged, told = queue.totals.read().get("forged", 0), int(state.get("forged_told", 0))
    if forged > told:
        text = (
            f"{forged - told} parked events carry no signature of this store, or a wrong one. None of them is stored. "
            "Somebody can write to Redis or to the spool, or DLQ_ENTRY_KEY_FILE differs between hosts."
        )
        log.error("dlq_forged_alarm", forged=forged - told)
        if tell("dlq.forged", text, forged=forged - told):
            queue.alarms.remember("forged_told", str(forged))
    elif forged < told:
        queue.alarms.remember("forged_told", str(forged))


def tell(name: str, text: str, *, taken_by: list[str] | None = None, **figures: int) -> bool:
    """Send an alarm; return whether every configured way took it. With none configured the log has it: that counts.

    Ways in `taken_by` took it before and are left out; those that take it now are added.
    """
    taken = [] if taken_by is None else taken_by
    ways = [way for way in _ways() if way.__name__ not in taken]
    taken += [way.__name__ for way in ways if _sent(way, name, text, figures)]  # each is tried, also after one failed
    return all(way.__name__ in taken for way in ways)


def _ways() -> list[Way]:
    ways: list[Way] = []
    if settings.DLQ_ALERT_WEBHOOK:
        ways.append(_webhook)
    if settings.DLQ_ALERT_EMAILS:
        ways.append(_email)
    return ways


def _sent(way: Way, name: str, text: str, figures: dict[str, int]) -> bool:
    try:
        way(name, text, figures)
    except (OSError, http.client.HTTPException, ValueError) as error:
        log.error("alarm_not_passed_on", alarm=name, way=way.__name__.strip("_"), error=type(error).__name__)
        return False
    return True


def _webhook(name: str, text: str, figures: dict[str, int]) -> None:
    body = json.dumps({"alarm": name, "text": text, "site": settings.SITE_NAME, **figures}).encode()
    request = urllib.request.Request(
        settings.DLQ_ALERT_WEBHOOK, body, {"Content-Type": "application/json"}, method="POST"
    )
    try:
        urllib.request.urlopen(request, timeout=TIMEOUT_S).close()
    except urllib.error.HTTPError as error:
        error.close()  # it holds the connection
        raise


def _email(name: str, text: str, figures: dict[str, int]) -> None:
    send_mail(f"[{settings.SITE_NAME}] {name}", text, None, settings.DLQ_ALERT_EMAILS)
