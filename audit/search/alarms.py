"""Alarms on saved searches: the owner is told when a new record matches, each record once.

The sealed log is the order in which records come, and every record has one leaf of it: a place in the log is all that
an alarm has to remember. So a run reads what is new, whatever the store holds, and a query that would be too expensive
over the whole store is cheap here. It is a look of the owner (decision 34), with the rights that they have at the time.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

import structlog
from django.contrib.auth.models import User
from django.contrib.humanize.templatetags.humanize import intcomma
from django.db import DataError
from django.db.models import BooleanField, Count, F, Max, Min, Q
from django.db.models.expressions import RawSQL
from django.urls import reverse

from audit import visibility
from audit.formats import grammar, times
from audit.formats.fields import FIELDS
from audit.ingest import own_event, trail
from audit.ingest.notify import notify
from audit.models import ACCESS, OWN_WRITER, OutboxAlarm, Record, SavedView, SearchAlarm, newest_head
from audit.postgres import sql
from audit.safe_text import harmless
from audit.search import cost, filters
from audit.search.saved_views import NotSaved, require_owner
from audit.visibility import Scopes, Viewer

log = structlog.get_logger(__name__)

ALARM = "audit.saved_search"
# The record of a look by an alarm. No alarm counts it: two alarms on the access log would tell of each other for ever.
WATCHED = "audit.records.watched"
# Alarms of one person, and in the whole store.
MOST_EACH, MOST = 20, 500
# So many records are told of by number.
COUNTED = 1_000
# No step may take longer; no search may keep the others waiting for longer.
STATEMENT_MS, TURN_S = 1_000, 3.0
# While so many of these alarms wait to be delivered, no more are made: what matches is told once they are heard.
UNHEARD = 5
# After a step that could not be taken.
RETRY_AFTER = timedelta(minutes=10)

_IDS = "SELECT array_agg(record_id)::text FROM audit_leaf WHERE index >= %s AND index < %s"
_AMONG = "audit_record.id = ANY (%s::uuid[])"

NO_RIGHT = "You may not read records at present. It goes on from where it stopped once you may."


class Told(NamedTuple):
    """What a run did: how many searches had their turn, how many alarms were made, and how many could not look."""

    looked: int = 0
    told: int = 0
    stuck: int = 0


class _Overtaken(Exception):
    """Another process told this meanwhile, or the owner changed the search: nothing is told."""


@dataclass
class _Look:
    """What one turn of an alarm has read, from `first_entry` up to `position`, and what matched."""

    first_entry: int
    position: int
    batch: int
    records: int = 0
    first: datetime | None = None
    last: datetime | None = None
    problem: str = ""

    def add(self, records: int, first: datetime | None, last: datetime | None) -> None:
        self.records += records
        self.first = min(filter(None, (self.first, first)), default=None)
        self.last = max(filter(None, (self.last, last)), default=None)


def turn_on(view: SavedView, *, by: Any) -> None:
    """Tell from now on when a record matches; recorded first. Raises `NotSaved`, `NothingKept`."""
    require_owner(view, by)
    if SearchAlarm.objects.filter(view=view).exists():
        return
    if SearchAlarm.objects.filter(view__owner=view.owner).count() >= MOST_EACH:
        raise NotSaved(f"{MOST_EACH} alarms are kept for each person: turn off one first.")
    if SearchAlarm.objects.count() >= MOST:
        raise NotSaved(f"{MOST} alarms are on in this store, which is the most: somebody has to turn off one first.")
    _record("on", view, by.get_username())
    head = newest_head("default")
    now = datetime.now(UTC)
    facts = {"position": head.size if head else 0, "due_at": now, "looked_until": now}
    SearchAlarm.objects.get_or_create(view=view, defaults=facts)


def turn_off(view: SavedView, *, by: Any) -> None:
    """Tell no more; recorded first. Raises `NotSaved`, `NothingKept`."""
    require_owner(view, by)
    if SearchAlarm.objects.filter(view=view).exists():
        _record("off", view, by.get_username())
        SearchAlarm.objects.filter(view=view).delete()


def tell(*, seconds: float, sight_of: Callable[[Any], Scopes]) -> Told:
    """Look through what was sealed since the last run, for at most `seconds`, and tell the owners what matches.

    `sight_of` returns what a person may see. Who waits longest has the first turn. Safe in several processes at once,
    and to be killed anywhere. Raises what the database raises, and `NothingKept`: the next run begins with the others.
    """
    ends, now = time.monotonic() + seconds, datetime.now(UTC)
    head = newest_head("default")
    size = head.size if head else 0
    waiting = SearchAlarm.objects.filter(due_at__lte=now).order_by(F("turn_at").asc(nulls_first=True), "pk")
    done, windows = Told(), _Windows()
    for pk in list(waiting.values_list("pk", flat=True)):
        if time.monotonic() > ends or _nobody_hears():
            break
        # Before its turn: one that ends its process is the last in line then, not the first again.
        SearchAlarm.objects.filter(pk=pk).update(turn_at=datetime.now(UTC))
        alarm = SearchAlarm.objects.select_related("view").filter(pk=pk).first()
        if alarm is not None:
            told, stuck = _turn(alarm, size, now, windows, sight_of)
            done = Told(done.looked + 1, done.told + told, done.stuck + stuck)
    return done


def _nobody_hears() -> bool:
    return OutboxAlarm.objects.filter(alarm=ALARM, heard_at=None).count() >= UNHEARD


def _turn(
    alarm: SearchAlarm, size: int, now: datetime, windows: "_Windows", sight_of: Callable[[Any], Scopes]
) -> tuple[bool, bool]:
    """Look for one alarm; return whether it told, and whether it could not look."""
    owner = User.objects.filter(username=alarm.view.owner).first()
    if owner is None:
        _record("off", alarm.view, OWN_WRITER, reason="The owner is not here any more.")
        alarm.delete()
        return False, False
    look = _Look(alarm.position, alarm.position, alarm.batch)
    if not (owner.is_active and owner.is_staff and owner.has_perm("audit.view_record")):
        look.problem = NO_RIGHT
    else:
        with visibility.viewing(Viewer(find_scopes=lambda: sight_of(owner), actor=owner.get_username())):
            _read(look, alarm.view.query, size, now, windows)
    told = False
    with suppress(_Overtaken):
        told = _settle(alarm, look, now, is_whole=look.position >= size)
    if look.problem:
        log.warning("saved_search_not_looked_for", view=alarm.view_id, problem=look.problem)
    return told, bool(look.problem)


def _read(look: _Look, text: str, size: int, now: datetime, windows: "_Windows") -> None:
    """Go through the log from the look's position on, until its turn is over."""
    ends = time.monotonic() + TURN_S
    try:
        where = filters.where(grammar.parse(text), now)
        while look.position < size:
            _step(look, where, min(look.position + look.batch, size), windows)
            if time.monotonic() > ends:  # after a step at least, whatever the machine does
                break
    except grammar.QueryRefused as refused:
        look.problem = f"The query cannot be read: {refused}."[:300]
    except cost.TookTooLong:
        look.problem = (
            f"Looking at {look.batch} records took longer than {STATEMENT_MS / 1000:g} s. "
            "Leave some terms out; it is tried again every 10 minutes."
        )
    except DataError:
        look.problem = "PostgreSQL cannot look for this query. Change it; it is tried again every 10 minutes."


def _step(look: _Look, where: Q, end: int, windows: "_Windows") -> None:
    """Look at the entries before `end`, or make the next step smaller. Raises `TookTooLong` of the smallest one."""
    try:
        ids = windows.ids(look.position, end)
        # A bitmap would gather all that the query finds in the store, to keep what is among these.
        with cost.reading(milliseconds=STATEMENT_MS, never=cost.GATHERING):
            among = RawSQL(_AMONG, [ids], output_field=BooleanField())
            matching = Record.objects.filter(where, among).exclude(writer=str(OWN_WRITER), event_type=WATCHED)
            figures = matching.order_by().aggregate(
                records=Count("id"), first=Min("event_timestamp"), last=Max("event_timestamp")
            )
    except cost.TookTooLong:
        if look.batch <= SearchAlarm.LEAST:
            raise
        look.batch = max(look.batch // 4, SearchAlarm.LEAST)
        return
    look.add(**figures)
    look.position = end
    look.batch = min(look.batch * 2, SearchAlarm.MOST)


class _Windows:
    """The ids of a part of the log, kept for the next search: most of them stand at the same place.

    As PostgreSQL's own text of an array: five thousand ids cost more to read and to write here than to look up there.
    """

    def __init__(self) -> None:
        self._key, self._ids = (0, 0), ""

    def ids(self, first: int, end: int) -> str:
        if self._key != (first, end):
            [(self._ids,)] = sql.rows(_IDS, [first, end])
            self._key = first, end
        return self._ids


def _settle(alarm: SearchAlarm, look: _Look, now: datetime, *, is_whole: bool) -> bool:
    """Keep the place, and with it, in one transaction, the alarm; return whether there was one. Raises `_Overtaken`."""
    change: dict[str, Any] = {"position": look.position, "batch": look.batch, "problem": look.problem}
    change["due_at"] = now + RETRY_AFTER if look.problem else now
    if is_whole and not look.problem:
        change["looked_until"] = now
    if not look.records:
        _move(alarm, change)
        return False
    assert look.first is not None and look.last is not None
    change |= {"told_at": now, "told_records": look.records, "told_first": look.first, "told_last": look.last}
    query = within(alarm.view.query, look.first, look.last)
    notify(
        ALARM,
        f"{_matching(look.records)} the saved search “{harmless(alarm.view.name)}” of {harmless(alarm.view.owner)}. "
        f"Time: {times.timestamp_text(look.first)} to {times.timestamp_text(look.last)}. See {address(query)}",
        event=_look_event(alarm.view, look, query),
        told=lambda: _move(alarm, change),
        records=min(look.records, COUNTED),
    )
    return True


def _move(alarm: SearchAlarm, change: dict[str, Any]) -> None:
    """Move from the place that was read. Raises `_Overtaken` where it is not there any more."""
    same = SearchAlarm.objects.filter(pk=alarm.pk, position=alarm.position, view__query=alarm.view.query)
    if not same.update(**change):
        raise _Overtaken


def within(text: str, first: datetime, last: datetime) -> str:
    """Return the query narrowed to the time from `first` to `last`."""
    query = grammar.parse(text)
    timeless = query.without(*(name for name, field in FIELDS.items() if field.kind == "time"))
    narrowed = timeless.with_term("after", times.timestamp_text(first)).with_term("until", times.timestamp_text(last))
    return str(narrowed)


def address(text: str) -> str:
    return f"{reverse('admin:audit_record_changelist')}?{urlencode({'q': text})}"


def counted(records: int) -> str:
    """Return how many, as far as it is told: `12`, or `1,000+`."""
    return f"{intcomma(COUNTED)}+" if records > COUNTED else intcomma(records)


def _matching(records: int) -> str:
    return "1 new record matches" if records == 1 else f"{counted(records)} new records match"


def _look_event(view: SavedView, look: _Look, query: str) -> dict[str, Any]:
    """Return the record of the look: what was read on the owner's behalf, and how much of it the alarm tells."""
    path, _, asked = address(query).partition("?")
    return own_event.document(
        WATCHED,
        own_event.Where("user", ACCESS, ("saved-search", view.name)),
        actor=view.owner,
        outcome="success",
        correlation=f"saved-search-{view.pk}",
        path=path,
        query=asked,
        rows=look.records,
        saved_search=view.name,
        first_entry=look.first_entry,
        last_entry=look.position - 1,
    )


def _record(act: str, view: SavedView, by: str, **facts: Any) -> None:
    trail.add(
        f"audit.view.alarm_{act}",
        actor=by,
        correlation="views",
        name=view.name,
        query=view.query,
        owner=view.owner,
        **facts,
    )
