"""sample: what the queue is made of, from a few hundred messages drawn at random; at the same cost for any depth."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from dlq.message import Message
from dlq.scripts import refusing
from dlq.stream import Stream

DRAWN = 300
MINUTE, HOUR, DAY = 60, 3600, 86_400
AGES = (
    ("under 1 min", MINUTE),
    ("1 to 10 min", 10 * MINUTE),
    ("10 min to 1 h", HOUR),
    ("1 to 6 h", 6 * HOUR),
    ("6 h to 1 d", DAY),
    ("1 to 3 d", 3 * DAY),
    ("3 to 7 d", 7 * DAY),
)
OLDER = "over 7 d"


class Makeup(NamedTuple):
    """How the messages that were drawn spread."""

    drawn: int
    ages: dict[str, int]
    """By age, youngest first; every class is there."""
    reasons: dict[str, int]
    """By the kind of the last error, or why it was parked where none failed; most frequent first."""


def makeup(queue: Stream) -> Makeup:
    """What the queue is made of; of all messages where there are no more than DRAWN. Raises `Refused`."""
    return spread(draw(queue))


def draw(queue: Stream, count: int = DRAWN) -> list[Message]:
    """That many messages, each as likely as any other. Raises `Refused`."""
    with refusing():
        flat = queue.redis.hrandfield(queue.ids, count, withvalues=True) or []
    return queue.all_of([message_id.decode() for message_id in flat[1::2]])


def spread(messages: Sequence[Message]) -> Makeup:
    """Count messages by age and by reason."""
    ages = dict.fromkeys([*(name for name, _ in AGES), OLDER], 0)
    for message in messages:
        ages[next((name for name, limit in AGES if message.age < limit), OLDER)] += 1
    reasons = Counter(message.last_error_class or message.reason for message in messages)
    return Makeup(len(messages), ages, dict(reasons.most_common()))
