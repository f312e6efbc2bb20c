"""months: look only into the months that a search by time can find anything in.

Records are partitioned by their ids, and searched by their times. What happened since T has an id from the day before T
on, save for the strays, which PostgreSQL notes as they are stored (audit/sql/0046_stray.sql): so the condition on ids
leaves nothing out, and old months are not even opened.
"""

import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db.models import Q

from audit.formats import times
from audit.formats.grammar import Query, Term
from audit.models import Followed, newest_head
from audit.postgres import sql

NAME = "strays"
# Of a store that was there before strays were noted.
PORTION = 20_000
DONE = 2**63 - 1
# A second more than what makes a stray, for ids know milliseconds only.
SLACK = timedelta(days=1, seconds=1)
BEFORE_IDS = datetime(1970, 1, 3, tzinfo=UTC)
# More of them than this are not worth naming: then all months are looked into.
MOST = 1_000
_STRAYS = "SELECT id FROM audit_stray WHERE event_timestamp >= %s LIMIT %s"
_UNSEALED = "SELECT min(stored_at) FROM audit_unsealed"


def of(query: Query, now: datetime) -> Q:
    """Return the condition on ids that goes with the query's earliest time; none where it has none."""
    moment = earliest(query, now)
    return Q() if moment is None else since(moment)


def since(moment: datetime) -> Q:
    """Return the condition on ids of what happened at this moment or later; none where all months are meant."""
    if moment < BEFORE_IDS or not _all_are_noted():
        return Q()
    strays = [record_id for (record_id,) in sql.rows(_STRAYS, [moment, MOST + 1], using="reader")]
    if len(strays) > MOST:
        return Q()
    recent = Q(id__gte=_first_id(moment - SLACK))
    return recent | Q(id__in=strays) if strays else recent


def until(moment: datetime) -> Q:
    """Return the condition on ids of what was stored as it happened, at this moment or before: the store's own acts.

    What others send may have happened long before its id was made.
    """
    return Q(id__lt=_first_id(times.later(moment, SLACK)))


def earliest(query: Query, now: datetime) -> datetime | None:
    """Return since when everything happened that the query can find."""
    bounds = [_earliest_of(term, now) for term in query.terms if term.field in ("after", "on") and not term.negated]
    return max(bounds, default=None)


def follow(*, seconds: float) -> int:
    """Note the strays of before they were noted as they came, from where the last run left off; return how many leaves
    were looked at."""
    ends, looked_at = time.monotonic() + seconds, 0
    cursor = Followed.objects.filter(name=NAME).exclude(position=DONE).first()
    while cursor is not None and time.monotonic() < ends:
        [(unsealed,)] = sql.rows(_UNSEALED)
        head = newest_head("default")
        size = 0 if head is None else head.size
        [(count,)] = sql.rows("SELECT audit_note_strays(%s, %s)", [cursor.position, cursor.position + PORTION])
        looked_at, cursor.position = looked_at + count, cursor.position + count
        noted_since = cursor.followed_at
        assert noted_since is not None
        if cursor.position >= size and (unsealed is None or unsealed > noted_since):
            cursor.position = DONE
        cursor.save(update_fields=["position"])
        if cursor.position == DONE or not count:
            break
    return looked_at


def _earliest_of(term: Term, now: datetime) -> datetime:
    read = times.read_time if term.field == "after" else lambda text, now: times.read_day(text)[0]
    return min(read(value.text, now) for value in term.values)


def _first_id(moment: datetime) -> UUID:
    """Return the least id that could have been made at a moment."""
    return UUID(int=max(int(moment.astimezone(UTC).timestamp() * 1000), 0) << 80)


_is_done = False


def _all_are_noted() -> bool:
    """Once so, it stays so."""
    global _is_done
    if not _is_done:
        _is_done = Followed.objects.using("reader").filter(name=NAME, position=DONE).exists()
    return _is_done
