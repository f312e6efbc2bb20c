"""Who is viewing now, which records they may see, and which they have read.

`audit.middleware.AccessMiddleware` opens a `Viewer` around each request; tasks and commands have none and see
everything. Every SELECT of records goes by here, so no page can forget to be recorded or to keep to the scopes.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from django.db.backends.signals import connection_created
from django.db.models import QuerySet

RowsT = TypeVar("RowsT", bound=QuerySet[Any])
# This many of the records that were read are named one by one; all are counted.
RECORDS_NAMED = 100
_WATCHED_TABLES = re.compile(r"\baudit_(?:record|archived_record|quarantine|rejectedsample)\b")


class Scope(NamedTuple):
    """Some writers and some categories; an empty list leaves none out."""

    writers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()

    def covers(self, writer: str, category: str) -> bool:
        return (not self.writers or writer in self.writers) and (not self.categories or category in self.categories)


# What any of the scopes covers may be seen; everything where there are none.
Scopes = tuple[Scope, ...]
EVERYTHING: Scopes = ()


@dataclass
class Viewer:
    """Who made one request, and what it read of the store."""

    find_scopes: Callable[[], Scopes]
    # The writer whose key it is; empty for a person, who is known by the session.
    actor: str = ""
    touched: bool = False
    rows: int = 0
    ids: list[str] = field(default_factory=list)
    _scopes: Scopes | None = None

    @property
    def scopes(self) -> Scopes:
        """Asked for once, and only where records are read."""
        if self._scopes is None:
            with as_system():
                self._scopes = self.find_scopes()
        return self._scopes

    def identify(self, actor: str, scopes: Scopes) -> None:
        self.actor, self._scopes = actor, scopes

    def note_read(self, ids: Iterable[str]) -> None:
        self.touched = True
        for record_id in ids:
            self.rows += 1
            if len(self.ids) < RECORDS_NAMED and record_id not in self.ids:
                self.ids.append(record_id)

    def note_shown(self, ids: Iterable[str]) -> None:
        """Of all that was read only these are shown; the rest was read to know whether there is more."""
        self.rows, self.ids = 0, []
        self.note_read(ids)


_viewer: ContextVar[Viewer | None] = ContextVar("viewer", default=None)


@contextmanager
def viewing(viewer: Viewer) -> Iterator[Viewer]:
    """What is read within is read by this viewer."""
    token = _viewer.set(viewer)
    try:
        yield viewer
    finally:
        _viewer.reset(token)


@contextmanager
def as_system() -> Iterator[None]:
    """Read as the system: not restricted, not recorded."""
    token = _viewer.set(None)
    try:
        yield
    finally:
        _viewer.reset(token)


def viewer() -> Viewer | None:
    return _viewer.get()


def scopes() -> Scopes:
    current = _viewer.get()
    return EVERYTHING if current is None else current.scopes


def covers(writer: str, category: str) -> bool:
    """Whether the viewer may see what this writer sent in this category."""
    own = scopes()
    return not own or any(scope.covers(writer, category) for scope in own)


def may_see_totals(writer: str) -> bool:
    """Whether the viewer may see counts of this writer. Counts know no categories: a scope with some gives none."""
    own = scopes()
    return not own or any(writer in scope.writers and not scope.categories for scope in own)


def visible_totals(rows: RowsT, column: str = "writer") -> RowsT:
    """Those rows of counts that the viewer may see."""
    if not (own := scopes()):
        return rows
    names = {name for scope in own if not scope.categories for name in scope.writers}
    visible: RowsT = rows.filter(**{f"{column}__in": names})
    return visible


def sql_condition(table: str) -> tuple[str, list[Any]]:
    """What restricts a SQL statement on records to what the viewer may see: text after its WHERE, and parameters."""
    if not (own := scopes()):
        return "", []
    part = f"(%s OR {table}.writer = ANY(%s)) AND (%s OR {table}.event_category = ANY(%s))"
    parameters = [value for scope in own for names in scope for value in (not names, list(names))]
    return f"AND ({' OR '.join([part] * len(own))})", parameters


def note_read(ids: Iterable[Any]) -> None:
    """The viewer read these records."""
    if (current := _viewer.get()) is not None:
        current.note_read(str(record_id) for record_id in ids)


def note_shown(ids: Iterable[Any]) -> None:
    """Of the records that were read, the page shows these."""
    if (current := _viewer.get()) is not None:
        current.note_shown(str(record_id) for record_id in ids)


def identify(actor: str, own: Scopes) -> None:
    if (current := _viewer.get()) is not None:
        current.identify(actor, own)


def watch() -> None:
    """Notice every statement on records, also raw ones: called once, when the app is ready."""
    connection_created.connect(_watch, dispatch_uid="audit.looking")


def _watch(connection: Any, **details: Any) -> None:
    if _statement not in connection.execute_wrappers:
        connection.execute_wrappers.append(_statement)


def _statement(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
    current = _viewer.get()
    if current is not None and not current.touched and _WATCHED_TABLES.search(str(sql)):
        current.touched = True
    return execute(sql, params, many, context)
