"""Compliance reports: requested days and controls, and the content as it was made. Kept for good."""

import uuid

from django.db import models


class Report(models.Model):
    """One report. Once it is made nothing of it changes: see audit/sql/0017_report.sql."""

    STATES = ("pending", "running", "ready", "cancelled", "failed")
    UNDER_WAY = ("pending", "running")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    state = models.CharField(max_length=20, default="pending", choices=[(state, state) for state in STATES])
    first = models.DateField(help_text="The first day, UTC.")
    last = models.DateField(help_text="The last day.")
    packs = models.JSONField(help_text="The names of the sets of controls.")
    sight = models.JSONField(default=list, help_text="What the one who asked may see; empty: everything.")
    requested_by = models.CharField(max_length=150)
    requested_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    checkpoint = models.BigIntegerField(help_text="The number of the checkpoint that it is as of.")
    done = models.IntegerField(default=0, help_text="Sections that are computed.")
    total = models.IntegerField(default=0)
    content = models.JSONField(null=True, help_text="What the digest covers.")
    beside = models.JSONField(null=True, help_text="What no checkpoint fixes: as it was when the report was made.")
    digest = models.CharField(max_length=64, blank=True, help_text="SHA-256 of the content in RFC 8785.")
    again_of = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="repeated")
    error = models.TextField(blank=True)

    class Meta:
        default_permissions = ("view",)
        permissions = (("make_report", "Can make compliance reports"),)
        ordering = ("-requested_at", "id")
        verbose_name = "compliance report"
        indexes = (
            models.Index(fields=("requested_at",), name="audit_report_under_way", condition=models.Q(ended_at=None)),
        )

    def __str__(self) -> str:
        return f"report of {self.first} to {self.last}"

    @property
    def is_same(self) -> bool | None:
        """Whether it repeats an earlier report with the same result; None for a first one, or while it is made."""
        return None if self.again_of is None or not self.digest else self.digest == self.again_of.digest
