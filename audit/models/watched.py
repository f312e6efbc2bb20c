"""QuerySets that tell `audit.looking` what they read, and the conditions that keep them to what may be seen."""

from collections.abc import Iterator
from typing import Any, TypeVar

from django.db import models

from audit import visibility

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
