"""visibility: who looks now, what of the store they may see, and what they saw.

Opened around each request by `audit.middleware.AccessMiddleware`; tasks and commands are nobody's look. Every SELECT of
records goes by here, so a page cannot forget to be recorded, nor to keep to what its reader may see.
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
NAMED = 100
"""How many of the records that were seen are named one by one; all are counted."""
_WATCHED = re.compile(r"\baudit_(?:record|quarantine|rejectedsample)\b")


class Span(NamedTuple):
    """Some writers and some categories; an empty list leaves none out."""

    writers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()

    def covers(self, writer: str, category: str) -> bool:
        """Whether what this writer sent in this category is within."""
        return (not self.writers or writer in self.writers) and (not self.categories or category in self.categories)


Sight = tuple[Span, ...]
"""What somebody may see: what any of the spans covers, or everything where there is none."""
EVERYTHING: Sight = ()


@dataclass
class Look:
    """One request, and what it read of the store."""

    find_sight: Callable[[], Sight]
    actor: str = ""
    """The writer whose key it is; empty for a person, who is known by the session."""
    touched: bool = False
    rows: int = 0
    ids: list[str] = field(default_factory=list)
    _sight: Sight | None = None

    @property
    def sight(self) -> Sight:
        """What the one who looks may see; asked for once, and only where records are read."""
        if self._sight is None:
            with own_account():
                self._sight = self.find_sight()
        return self._sight

    def identify(self, actor: str, sight: Sight) -> None:
        """It is a service that looks."""
        self.actor, self._sight = actor, sight

    def note(self, ids: Iterable[str]) -> None:
        """These were read."""
        self.touched = True
        for one in ids:
            self.rows += 1
            if len(self.ids) < NAMED and one not in self.ids:
                self.ids.append(one)

    def show(self, ids: Iterable[str]) -> None:
        """Of all that was read these are shown: what was read beyond only told whether there is more."""
        self.rows, self.ids = 0, []
        self.note(ids)


_now: ContextVar[Look | None] = ContextVar("look", default=None)


@contextmanager
def begin(look: Look) -> Iterator[Look]:
    """What is read within is of this look."""
    token = _now.set(look)
    try:
        yield look
    finally:
        _now.reset(token)


@contextmanager
def own_account() -> Iterator[None]:
    """What is read within the store reads for itself, whoever asked: states, counts, what was decided before."""
    token = _now.set(None)
    try:
        yield
    finally:
        _now.reset(token)


def now() -> Look | None:
    """The look at hand."""
    return _now.get()


def sight() -> Sight:
    """What may be seen now."""
    look = _now.get()
    return EVERYTHING if look is None else look.sight


def covers(writer: str, category: str) -> bool:
    """Whether what this writer sent in this category may be seen now."""
    spans = sight()
    return not spans or any(span.covers(writer, category) for span in spans)


def tells(writer: str) -> bool:
    """Whether figures of this writer may be told now: counts know no categories, so a span that does tells none."""
    spans = sight()
    return not spans or any(writer in span.writers and not span.categories for span in spans)


def figures(rows: RowsT, column: str = "writer") -> RowsT:
    """Those rows of figures that may be told now."""
    if not (spans := sight()):
        return rows
    names = {name for span in spans if not span.categories for name in span.writers}
    found: RowsT = rows.filter(**{f"{column}__in": names})
    return found


def condition(table: str) -> tuple[str, list[Any]]:
    """The same for a statement of one's own: what goes on its WHERE, and the parameters."""
    if not (spans := sight()):
        return "", []
    part = f"(%s OR {table}.writer = ANY(%s)) AND (%s OR {table}.event_category = ANY(%s))"
    parameters = [value for span in spans for names in span for value in (not names, list(names))]
    return f"AND ({' OR '.join([part] * len(spans))})", parameters


def note(ids: Iterable[Any]) -> None:
    """These were read."""
    if (look := _now.get()) is not None:
        look.note(str(one) for one in ids)


def show(ids: Iterable[Any]) -> None:
    """These records are what the page shows."""
    if (look := _now.get()) is not None:
        look.show(str(one) for one in ids)


def identify(actor: str, sight: Sight) -> None:
    """A service proved who it is."""
    if (look := _now.get()) is not None:
        look.identify(actor, sight)


def watch() -> None:
    """Let no statement on records pass unseen, whoever wrote it."""
    connection_created.connect(_watch, dispatch_uid="audit.looking")


def _watch(connection: Any, **details: Any) -> None:
    if _statement not in connection.execute_wrappers:
        connection.execute_wrappers.append(_statement)


def _statement(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
    look = _now.get()
    if look is not None and not look.touched and _WATCHED.search(str(sql)):
        look.touched = True
    return execute(sql, params, many, context)
