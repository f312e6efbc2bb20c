"""What models share: rows that only grow, readings that are noted, findings."""

from collections.abc import Iterator
from typing import Any, NoReturn, TypeVar

from django.db import models

from audit import visibility
from audit.errors import Immutable
from audit.formats import event

ModelT = TypeVar("ModelT", bound=models.Model)


class Watching(models.QuerySet[ModelT]):
    """What is read through it is of the look at hand."""

    is_watched = True

    def _fetch_all(self) -> None:
        fresh = self._result_cache is None
        super()._fetch_all()
        if fresh and self.is_watched:
            visibility.note(map(_event_id, self._result_cache or ()))

    def iterator(self, chunk_size: int | None = None) -> Iterator[Any]:
        for row in super().iterator(chunk_size):
            if self.is_watched:
                visibility.note([_event_id(row)])
            yield row


def within(sight: visibility.Sight, writer: str, category: str) -> models.Q:
    """What somebody with this sight may see."""
    found = models.Q(pk__in=[])
    for span in sight:
        writers = models.Q(**{f"{writer}__in": span.writers}) if span.writers else models.Q()
        found |= writers & (models.Q(**{f"{category}__in": span.categories}) if span.categories else models.Q())
    return found


def raw(writer: str) -> models.Q:
    """What may be seen now of events kept as they came: no category is known, so a span of some has none of them."""
    if not (sight := visibility.sight()):
        return models.Q()
    return models.Q(**{f"{writer}__in": {name for span in sight if not span.categories for name in span.writers}})


def _event_id(row: Any) -> Any:
    """Of a record or of what is quarantined; values that were selected without it have none."""
    return getattr(row, "key", None) or getattr(row, "pk", "")


class AppendOnlyQuerySet(Watching[ModelT]):
    """A QuerySet that reads. Only `audit.ingest.record` inserts, and nobody updates or deletes."""

    is_watched = False  # the log itself is everybody's who may see it

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise Immutable

    async def _arefuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise Immutable

    create = update = delete = bulk_create = bulk_update = _refuse
    get_or_create = update_or_create = _update = _raw_delete = _insert = _refuse
    acreate = aupdate = adelete = abulk_create = abulk_update = _arefuse
    aget_or_create = aupdate_or_create = _arefuse
    for method in (update, delete, bulk_create, bulk_update):
        method.alters_data = True  # type: ignore[attr-defined]
    del method


def text(field: str, **options: Any) -> "models.CharField[Any, Any]":
    """A column exactly as wide as the event's field of the same name."""
    return models.CharField(max_length=event.limit(field), **options)


class AppendOnly(models.Model):
    """A row that is inserted by SQL of its own and never changes."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise Immutable

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise Immutable


class WatchedQuerySet(AppendOnlyQuerySet[ModelT]):
    """Reads, and tells what."""

    is_watched = True


class Discrepancy(models.Model):
    """Something that should be here and is not. Kept for good, with what became of it."""

    STATES = ("open", "explained", "closed")
    NOUN = "gap"
    """How the records of acts on it call it: `audit.NOUN.explained`."""
    WRITER = "writer"
    """The column of whose events are missing."""
    RELATED: tuple[str, ...] = ()
    """What naming it needs to be read with it."""
    LARGE: tuple[str, ...] = ()
    """What naming it does not need."""
    WRITER = "writer"
    """Where the name of the writer is."""

    found_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    told_at = models.DateTimeField(null=True, help_text="When the alarm went out.")
    owner = models.CharField(max_length=150, blank=True)
    explanation = models.TextField(blank=True)
    explained_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True

    @property
    def state(self) -> str:
        """One of `STATES`: what came after all is closed, whatever was said of it."""
        if self.closed_at is not None:
            return "closed"
        return "explained" if self.explained_at is not None else "open"

    @property
    def writer_name(self) -> str:
        """Whose events are missing."""
        raise NotImplementedError

    def facts(self) -> dict[str, Any]:
        """What names it in a record of the store's own."""
        raise NotImplementedError
