"""What models share: rows that only grow, reads that are noted, discrepancies."""

from collections.abc import Iterator
from typing import Any, NoReturn, TypeVar

from django.db import models

from audit import visibility
from audit.errors import Immutable
from audit.formats import event

ModelT = TypeVar("ModelT", bound=models.Model)


class NotedQuerySet(models.QuerySet[ModelT]):
    """A queryset that reports its rows to the current viewer."""

    notes_reads = True

    def _fetch_all(self) -> None:
        fresh = self._result_cache is None
        super()._fetch_all()
        if fresh and self.notes_reads:
            visibility.note_read(map(_event_id, self._result_cache or ()))

    def iterator(self, chunk_size: int | None = None) -> Iterator[Any]:
        for row in super().iterator(chunk_size):
            if self.notes_reads:
                visibility.note_read([_event_id(row)])
            yield row


def visible_to(scopes: visibility.Scopes, writer: str, category: str) -> models.Q:
    """What somebody with these scopes may see, by the columns of writer and category."""
    condition = models.Q(pk__in=[])
    for scope in scopes:
        writers = models.Q(**{f"{writer}__in": scope.writers}) if scope.writers else models.Q()
        condition |= writers & (models.Q(**{f"{category}__in": scope.categories}) if scope.categories else models.Q())
    return condition


def visible_raw(writer: str) -> models.Q:
    """What the viewer may see of events kept as raw bytes: no category is known, so a scope with some has none."""
    if not (scopes := visibility.scopes()):
        return models.Q()
    return models.Q(**{f"{writer}__in": {name for scope in scopes if not scope.categories for name in scope.writers}})


def _event_id(row: Any) -> Any:
    """Of a record or of a quarantined event; `values()` without it have none."""
    return getattr(row, "key", None) or getattr(row, "pk", "")


class AppendOnlyQuerySet(NotedQuerySet[ModelT]):
    """A QuerySet that reads. Only `audit.ingest.record` inserts, and nobody updates or deletes."""

    notes_reads = False  # the log is shown to everybody who may see the log

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


class NotedAppendOnlyQuerySet(AppendOnlyQuerySet[ModelT]):
    """Reads append-only rows, and reports them to the current viewer."""

    notes_reads = True


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


class Discrepancy(models.Model):
    """Something that should be here and is not. Kept for good, with what became of it."""

    STATES = ("open", "explained", "closed")
    # Records of acts on it are called `audit.NOUN.explained`.
    NOUN = "gap"
    # The column with the name of the writer whose events are missing; "" where they are of none.
    WRITER = "writer"
    # To name it in a record these have to be read with it, and those large ones need not be.
    RELATED: tuple[str, ...] = ()
    LARGE: tuple[str, ...] = ()

    found_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    told_at = models.DateTimeField(null=True, help_text="When the alarm was sent.")
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
        return str(getattr(self, "writer"))  # noqa: B009

    def facts(self) -> dict[str, Any]:
        """What names it in a record of the store's own."""
        raise NotImplementedError
