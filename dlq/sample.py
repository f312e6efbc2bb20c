"""Estimate what the queue is made of, from a few hundred messages drawn at random: at the same cost for any depth."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from dlq.message import Message
from dlq.scripts import refusing
from dlq.stream import Stream

DRAWN = 300
MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400
# Classes of age, each with the seconds below which a message belongs to it.
AGES = (
    ("under 1 min", MINUTE_S),
    ("1 to 10 min", 10 * MINUTE_S),
    ("10 min to 1 h", HOUR_S),
    ("1 to 6 h", 6 * HOUR_S),
    ("6 h to 1 d", DAY_S),
    ("1 to 3 d", 3 * DAY_S),
    ("3 to 7 d", 7 * DAY_S),
)
OLDER = "over 7 d"


class Makeup(NamedTuple):
    """How the messages that were drawn spread."""

    drawn: int
    # By age, youngest first; every class is there.
    ages: dict[str, int]
    # By the kind of the last error, or why it was parked where none failed; most frequent first.
    reasons: dict[str, int]


def makeup(queue: Stream) -> Makeup:
    """Count a sample; all messages where there are no more than DRAWN. Raises `Refused`."""
    return spread(draw(queue))


def draw(queue: Stream, count: int = DRAWN) -> list[Message]:
    """Return that many messages, each as likely as any other. Raises `Refused`."""
    with refusing():
        flat = queue.redis.hrandfield(queue.keys.ids, count, withvalues=True) or []
    return queue.pages.get_all([message_id.decode() for message_id in flat[1::2]])


def spread(messages: Sequence[Message]) -> Makeup:
    """Count messages by age and by reason."""
    ages = dict.fromkeys([*(name for name, _ in AGES), OLDER], 0)
    for message in messages:
        ages[next((name for name, limit in AGES if message.age < limit), OLDER)] += 1
    reasons = Counter(message.last_error_class or message.reason for message in messages)
    return Makeup(len(messages), ages, dict(reasons.most_common()))
