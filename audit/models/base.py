"""What models share: rows that only grow, reads that are noted, discrepancies; jobs and rules."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn, Self, TypeVar

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q, QuerySet

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


class JobEnded(Exception):
    """Somebody cancelled the job, or its time is up, while it was being worked on."""


class Job(models.Model):
    """Work that somebody asked for and a worker does: pending, running, then ready, failed or cancelled."""

    UNDER_WAY = ("pending", "running")
    # A running job that was not updated for so long has lost its worker.
    ABANDONED_AFTER = timedelta(minutes=2)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    state = models.CharField(max_length=20, default="pending")
    sight = models.JSONField(default=list, help_text="What the requester may see (empty = everything).")
    requested_by = models.CharField(max_length=150)
    requested_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    error = models.TextField(blank=True)

    class Meta:
        abstract = True

    @property
    def is_under_way(self) -> bool:
        return self.state in self.UNDER_WAY

    def under_way(self) -> QuerySet[Self]:
        """The row while it has not ended: an update through this changes nothing of a job that was cancelled."""
        return type(self)._default_manager.filter(pk=self.pk, state__in=self.UNDER_WAY)

    @classmethod
    def pending(cls) -> QuerySet[Self]:
        """The jobs that no worker is doing."""
        abandoned = Q(state="running", updated_at__lt=datetime.now(UTC) - cls.ABANDONED_AFTER)
        return cls._default_manager.filter(Q(state="pending") | abandoned)

    @classmethod
    def next_pending(cls) -> Self | None:
        """The job that was left alone the longest."""
        return cls.pending().order_by("updated_at").first()

    def save_progress(self, **facts: Any) -> None:
        """Raises `JobEnded` where somebody has cancelled it meanwhile."""
        if not self.under_way().update(updated_at=datetime.now(UTC), **facts):
            raise JobEnded

    def end(self, state: str, **facts: Any) -> bool:
        """False where it had ended already."""
        now = datetime.now(UTC)
        facts |= {"updated_at": now, "ended_at": now, **self.expiry(now)}
        return bool(self.under_way().update(state=state, **facts))

    def expiry(self, now: datetime) -> dict[str, datetime]:
        """The columns that say until when a job that ends now is kept; none where it is kept for good."""
        return {}

    def scopes(self) -> tuple[visibility.Scope, ...]:
        """What the one who asked may see."""
        return tuple(visibility.Scope(tuple(writers), tuple(categories)) for writers, categories in self.sight)


def rule_name(used_in: str) -> "models.CharField[Any, str]":
    return models.CharField(
        max_length=50,
        unique=True,
        validators=[RegexValidator(r"^[a-z0-9][a-z0-9-]*\Z", "Use lower-case letters, digits and '-'.")],
        help_text=f"Appears in {used_in}; cannot be changed later.",
    )


class NamedRule(models.Model):
    """A rule that records name, so it is switched off and never deleted."""

    name = rule_name("records")
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True
        default_permissions = ("view", "add", "change")
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name
