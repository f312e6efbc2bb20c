"""Abstract models: jobs that a worker does in parts, and rules that are switched off and never deleted."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q, QuerySet

from audit import visibility


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
