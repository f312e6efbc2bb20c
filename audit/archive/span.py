"""span: which leaves of the log an archive is asked to hold: by their places, by times, or by a month.

A time is taken by seals: a leaf is of the time at which a checkpoint that stays first covered it. So each leaf is of
one month, and where a month ends the next begins.
"""

import re
from datetime import UTC, datetime
from typing import NamedTuple

from audit.errors import Invalid
from audit.formats import times
from audit.ledger import heads
from audit.models import Checkpoint

_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])\Z")


class Span(NamedTuple):
    """The leaves from `first` to `last - 1`, and the checkpoint that they are proved against."""

    first: int
    last: int
    checkpoint: Checkpoint


def read_span(first: str, last: str) -> Span:
    """Read two bounds, each the place of a leaf or a time; `last` is the leaf, or the time, after the range.

    Raises `Invalid`, `NotSealed`.
    """
    now = datetime.now(UTC)
    bounds = [_bound(name, text, now) for name, text in (("from", first), ("to", last))]
    # Only now: a checkpoint that was given out stays for good.
    checkpoint = heads.give_out()
    begin, end = (_leaf(bound, checkpoint) for bound in bounds)
    if not 0 <= begin < end <= checkpoint.size:
        leaves = f"{begin} to {end - 1}"
        raise Invalid({"to": f"the leaves {leaves} are no range of a log of {checkpoint.size}: nothing to archive"})
    return Span(begin, end, checkpoint)


def read_month(text: str) -> Span:
    """Read a UTC month that is over, such as 2026-08. Raises `Invalid`, `NotSealed`."""
    if (match := _MONTH.match(text)) is None:
        raise Invalid({"month": "is a month such as 2026-08"})
    year, month = int(match[1]), int(match[2])
    following = f"{year + month // 12:04}-{month % 12 + 1:02}-01"
    return read_span(f"{text}-01", following)


def _bound(name: str, text: str, now: datetime) -> int | datetime:
    """Read the place of a leaf, or a time that is over. Raises `Invalid`."""
    if text.isascii() and text.isdigit() and len(text) < 19:
        return int(text)
    try:
        moment = times.read_time(text, now)
    except ValueError as error:
        raise Invalid({name: f"is neither the place of a leaf nor a time: it {error}"}) from None
    if moment > now:
        raise Invalid({name: f"{text} is not over yet: archive what is"})
    return moment


def _leaf(bound: int | datetime, newest: Checkpoint) -> int:
    """The leaf that a bound means: what was sealed before a time is before it."""
    if isinstance(bound, int):
        return bound
    before = Checkpoint.objects.using("reader").filter(created_at__lt=bound).order_by("-created_at").first()
    return 0 if before is None else min(before.size, newest.size)
