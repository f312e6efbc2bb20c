"""Alarms of the queue, passed on without PostgreSQL: webhook and e-mail, each until it succeeded once.

The depth alarm is raised and cleared inside the scripts that change the depth, so that it holds for all
processes together; the error in the log comes at that moment. Passing it on is the watcher's and the
schedule's work, for no writer may wait for it.
"""

import http.client
import json
import urllib.request
from collections.abc import Callable

import structlog
from django.conf import settings
from django.core.mail import send_mail

from dlq import stream as streams

log = structlog.get_logger(__name__)

TIMEOUT_S = 3.0
DAY = 86_400
AGES = (3_600, DAY, 3 * DAY, 6 * DAY)
"""Seconds that the oldest message may wait before the next alarm."""


def notify() -> None:
    """Pass on what is alarmed and was not passed on before. Raises `Refused`."""
    queue = streams.for_drain()
    state, stats = queue.alarm_state(), queue.stats()
    if "depth_since" in state and state.get("depth_told") != state["depth_since"]:
        text = f"{stats.depth} events are parked (alert above {settings.DLQ_ALERT_DEPTH}). Is PostgreSQL up?"
        if tell("dlq.depth", text, depth=stats.depth):
            queue.alarm_told("depth_told", state["depth_since"])
    _notify_of_age(queue, state)
    if stats.dead > int(state.get("dead_told", 0)):
        text = f"{stats.dead} parked events are dead: they need a person. See the admin, dead letter queue."
        log.error("dlq_dead_alarm", dead=stats.dead)
        if tell("dlq.dead", text, dead=stats.dead):
            queue.alarm_told("dead_told", str(stats.dead))
    elif stats.dead < int(state.get("dead_told", 0)):
        queue.alarm_told("dead_told", str(stats.dead))


def _notify_of_age(queue: streams.Stream, state: dict[str, str]) -> None:
    """Tell when the oldest message passes an hour, a day, three and six: at seven it is kept elsewhere."""
    age, told = queue.oldest_age(), int(state.get("age_told", 0))
    reached = sum(age >= limit for limit in AGES)
    if reached > told:
        text = f"The oldest parked event waits for {age / 3600:.0f} hours. After seven days it is quarantined."
        log.error("dlq_age_alarm", hours=round(age / 3600))
        if tell("dlq.age", text, hours=round(age / 3600)):
            queue.alarm_told("age_told", str(reached))
    elif reached < told:
        queue.alarm_told("age_told", str(reached))


def tell(name: str, text: str, **figures: int) -> bool:
    """Pass an alarm on. Whether every configured way took it; none configured counts as told, for the log has it."""
    told = [_tried(way, name, text, figures) for way in _ways()]  # each is tried, also after one failed
    return all(told)


def _ways() -> list[Callable[[str, str, dict[str, int]], None]]:
    ways: list[Callable[[str, str, dict[str, int]], None]] = []
    if settings.DLQ_ALERT_WEBHOOK:
        ways.append(_webhook)
    if settings.DLQ_ALERT_EMAILS:
        ways.append(_email)
    return ways


def _tried(way: Callable[[str, str, dict[str, int]], None], name: str, text: str, figures: dict[str, int]) -> bool:
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
    with urllib.request.urlopen(request, timeout=TIMEOUT_S):
        pass


def _email(name: str, text: str, figures: dict[str, int]) -> None:
    send_mail(f"[{settings.SITE_NAME}] {name}", text, None, settings.DLQ_ALERT_EMAILS)
