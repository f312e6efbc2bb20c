"""Saved searches that people keep and share: queries with a name. Every permission still counts when one is opened."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.contrib.auth.models import Group
from django.db import IntegrityError
from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet

from audit.errors import AuditError
from audit.formats import grammar
from audit.ingest import trail
from audit.models import SavedView, SearchAlarm

VIEWS = Path(__file__).parent / "packs" / "views.json"

NAME, QUERY, WHY, MOST = 100, 2_000, 300, 200  # characters of a name, query and reason, and views of one person


class NotSaved(AuditError):
    pass


def visible_to(user: Any) -> QuerySet[SavedView]:
    """Return what a person sees, each with its alarm: first what they pinned, then their own and what is shared."""
    own = Q(owner=user.get_username())
    seen = SavedView.objects.filter(own | Q(group__in=user.groups.all()) | ~Q(pack=""))
    first = ExpressionWrapper(own & Q(pinned=True), output_field=BooleanField())
    return seen.select_related("group", "alarm").annotate(first=first).order_by("-first", "pack", "name").distinct()


def save(name: str, text: str, *, by: Any, group: int | None = None) -> SavedView:
    """Save a query under a name, or change the search of that name. Raises `NotSaved`, `NothingKept`."""
    words = _name(name)
    try:
        query = str(grammar.parse(text))
    except grammar.QueryRefused as refused:
        raise NotSaved(f"The query cannot be read, and was not saved: {refused}.") from None
    if len(query) > QUERY:
        raise NotSaved(f"The query has {len(query):,} characters, and {QUERY:,} are kept of a search: shorten it.")
    owner = by.get_username()
    shared = _group(group, by)
    if SavedView.objects.filter(owner=owner).exclude(name=words).count() >= MOST:
        raise NotSaved(f"{MOST} searches are kept for each person: remove one first.")
    _record("saved", owner, words, query, shared)
    _forget_told(SearchAlarm.objects.filter(view__owner=owner, view__pack="", view__name=words), query)
    view, _ = SavedView.objects.update_or_create(
        owner=owner, pack="", name=words, defaults={"query": query, "group": shared, "saved_at": datetime.now(UTC)}
    )
    return view


def _forget_told(alarms: QuerySet[SearchAlarm], query: str) -> None:
    """What an alarm told, and why it could not look, is of no other query: that one is looked for at the next run."""
    forgotten = dict.fromkeys(("told_at", "told_first", "told_last"))
    changed = alarms.exclude(view__query=query)
    changed.update(**forgotten, told_records=0, problem="", due_at=datetime.now(UTC))


def remove(view: SavedView, *, by: Any) -> None:
    """Remove a search and its alarm; only its owner may. Raises `NotSaved`, `NothingKept`."""
    require_owner(view, by)
    _record("removed", view.owner, view.name, view.query, view.group)
    view.delete()


def rename(view: SavedView, name: str, *, by: Any) -> None:
    """Give a search another name; its alarm stays. Raises `NotSaved`, `NothingKept`."""
    require_owner(view, by)
    words, before = _name(name), view.name
    if words == before:
        return
    if SavedView.objects.filter(owner=view.owner, pack=view.pack, name=words).exists():
        raise NotSaved(f"You have a search “{words}” already: choose another name.")
    _record("renamed", view.owner, words, view.query, view.group, before=before)
    view.name = words
    try:
        view.save(update_fields=["name"])
    except IntegrityError:  # saved by the same person at the same time
        raise NotSaved(f"You have a search “{words}” already: choose another name.") from None


def pin(view: SavedView, pinned: bool, *, by: Any) -> None:
    """Have it stand first in its owner's list, or no more. Raises `NotSaved`."""
    require_owner(view, by)
    SavedView.objects.filter(pk=view.pk).update(pinned=pinned)


def require_owner(view: SavedView, by: Any) -> None:
    """Raises `NotSaved`."""
    if not view.owner or view.owner != by.get_username():
        raise NotSaved("Only who saved a search may change it: save it under a name of your own.")


def _name(text: str) -> str:
    words = " ".join(text.replace("\x00", "").split())[:NAME]
    if not words:
        raise NotSaved("A saved search needs a name: say what it is looked at for.")
    return words


def _group(pk: int | None, by: Any) -> Group | None:
    if pk is None:
        return None
    group: Group | None = by.groups.filter(pk=pk).first()
    if group is None:
        raise NotSaved("A search is shared with a group that you are in yourself.")
    return group


def _record(act: str, by: str, name: str, query: str, group: Group | None, **facts: str) -> None:
    shared = group.name if group else None
    trail.add(f"audit.view.{act}", actor=by, correlation="views", name=name, query=query, shared_with=shared, **facts)


def seed(using: str) -> None:
    pack = json.loads(VIEWS.read_bytes())
    for view in pack["views"]:
        SavedView.objects.using(using).get_or_create(
            pack=pack["pack"],
            name=view["name"],
            owner="",
            defaults={"query": view["query"], "why": view["why"], "saved_at": datetime.now(UTC)},
        )
