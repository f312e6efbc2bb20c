"""Saved views that people keep and share. A view is a query, and every permission still counts when it is opened."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.contrib.auth.models import Group
from django.db.models import Q, QuerySet

from audit.errors import AuditError
from audit.formats import grammar
from audit.ingest import trail
from audit.models import SavedView

VIEWS = Path(__file__).parent / "packs" / "views.json"

NAME, WHY, MOST = 100, 300, 200  # characters of a name and of a reason, and views of one person


class NotSaved(AuditError):
    pass


def visible_to(user: Any) -> QuerySet[SavedView]:
    mine = Q(owner=user.get_username()) | Q(group__in=user.groups.all()) | ~Q(pack="")
    return SavedView.objects.filter(mine).select_related("group").distinct()


def save(name: str, text: str, *, by: Any, group: int | None = None) -> SavedView:
    """Save a query under a name, or change the view of that name. Raises `NotSaved`, `NothingKept`."""
    words = " ".join(name.replace("\x00", "").split())[:NAME]
    if not words:
        raise NotSaved("A view needs a name: say what it is looked at for.")
    try:
        query = str(grammar.parse(text))
    except grammar.QueryRefused as refused:
        raise NotSaved(f"The query cannot be read, and was not saved: {refused}.") from None
    owner = by.get_username()
    shared = _group(group, by)
    if SavedView.objects.filter(owner=owner).exclude(name=words).count() >= MOST:
        raise NotSaved(f"{MOST} views are kept for each person: remove one first.")
    _record("saved", owner, words, query, shared)
    view, _ = SavedView.objects.update_or_create(
        owner=owner, pack="", name=words, defaults={"query": query, "group": shared, "saved_at": datetime.now(UTC)}
    )
    return view


def remove(view: SavedView, *, by: Any) -> None:
    """Remove a view; only its owner may. Raises `NotSaved`, `NothingKept`."""
    if view.owner != by.get_username():
        raise NotSaved("Only who saved a view may remove it.")
    _record("removed", view.owner, view.name, view.query, view.group)
    view.delete()


def _group(pk: int | None, by: Any) -> Group | None:
    if pk is None:
        return None
    group: Group | None = by.groups.filter(pk=pk).first()
    if group is None:
        raise NotSaved("A view is shared with a group that you are in yourself.")
    return group


def _record(act: str, by: str, name: str, query: str, group: Group | None) -> None:
    shared = group.name if group else None
    trail.add(f"audit.view.{act}", actor=by, correlation="views", name=name, query=query, shared_with=shared)


def seed(using: str) -> None:
    pack = json.loads(VIEWS.read_bytes())
    for view in pack["views"]:
        SavedView.objects.using(using).get_or_create(
            pack=pack["pack"],
            name=view["name"],
            owner="",
            defaults={"query": view["query"], "why": view["why"], "saved_at": datetime.now(UTC)},
        )
