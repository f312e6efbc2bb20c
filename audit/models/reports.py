"""Compliance reports, kept for good."""

from django.db import models

from audit.models.base import Job


class Report(Job):
    """One report. Once it is made it never changes: audit/sql/0017_report.sql refuses it."""

    STATES = ("pending", "running", "ready", "cancelled", "failed")

    state = models.CharField(max_length=20, default="pending", choices=[(state, state) for state in STATES])
    first = models.DateField(help_text="The first day, UTC.")
    last = models.DateField(help_text="The last day.")
    packs = models.JSONField(help_text="The names of the sets of controls.")
    checkpoint = models.BigIntegerField(help_text="The number of the checkpoint that the report is based on.")
    done = models.IntegerField(default=0, help_text="How many sections are finished.")
    total = models.IntegerField(default=0)
    content = models.JSONField(null=True, help_text="What the digest covers.")
    beside = models.JSONField(
        null=True, help_text="Figures that no checkpoint fixes, as they were when the report was made."
    )
    unfinished = models.JSONField(null=True, help_text="While it is made: the sections that are finished.")
    attempts = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="How often the section that is not finished was begun."
    )
    digest = models.CharField(max_length=64, blank=True, help_text="SHA-256 of the content in RFC 8785.")
    again_of = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="repeated")

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
        """Whether a repeated report has the digest of the first; None for the first, or before it is made."""
        return None if self.again_of is None or not self.digest else self.digest == self.again_of.digest
