"""The daily review: who signed each day, what they were shown, and the days that nobody signed in time."""

from typing import Any, ClassVar

from django.db import models

from audit.models.base import AppendOnly, AppendOnlyQuerySet, Discrepancy
from audit.models.records import OWN_WRITER


class Review(AppendOnly):
    """A signature under a day: the first, one of another person, or one more of the same (0018_review.sql)."""

    day = models.DateField()
    number = models.IntegerField(help_text="1 is the first signature; later ones countersign it or sign again.")
    signed_by = models.CharField(max_length=150)
    signed_at = models.DateTimeField()
    note = models.TextField(blank=True)
    exceptions = models.BigIntegerField(help_text="How many exceptions the page showed when it was signed.")
    digest = models.CharField(max_length=64, help_text="SHA-256 of the RFC 8785 form of what was shown.")
    shown = models.JSONField()

    objects: ClassVar[models.Manager["Review"]] = models.Manager.from_queryset(AppendOnlyQuerySet["Review"])()

    class Meta:
        default_permissions = ("view",)
        permissions = (("sign_review", "Can sign the daily review"),)
        base_manager_name = "objects"
        ordering = ("day", "number")
        verbose_name = "daily review"
        constraints = (models.UniqueConstraint(fields=("day", "number"), name="audit_review_one"),)

    def __str__(self) -> str:
        return f"review of {self.day}"


class MissedReview(Discrepancy):
    """A day that nobody had signed when its time was up. A late signature closes it."""

    NOUN = "review"
    WRITER = ""

    day = models.DateField(unique=True)
    due_at = models.DateTimeField()

    class Meta:
        default_permissions = ("view",)
        ordering = ("-day",)
        verbose_name = "missed review"

    def __str__(self) -> str:
        return f"review of {self.day}"

    @property
    def writer_name(self) -> str:
        return OWN_WRITER

    def facts(self) -> dict[str, Any]:
        return {"day": self.day.isoformat(), "due_at": self.due_at.isoformat()}
