"""Legal holds: what must not be purged, on whose word and why."""

from django.db import models
from django.db.models import Q


class LegalHold(models.Model):
    """One hold on all records of a correlation, those that are still to come too. Placing and releasing are records."""

    correlation_id = models.CharField(max_length=255)
    reason = models.TextField()
    placed_by = models.CharField(max_length=150)
    placed_at = models.DateTimeField()
    released_by = models.CharField(max_length=150, blank=True)
    released_at = models.DateTimeField(null=True)
    release_reason = models.TextField(blank=True)

    class Meta:
        default_permissions = ("view",)
        permissions = (("place_legalhold", "Can place and release legal holds"),)
        ordering = ("-placed_at", "-id")
        constraints = (
            models.UniqueConstraint(
                fields=("correlation_id",), condition=Q(released_at=None), name="audit_hold_one_at_a_time"
            ),
        )
        indexes = (models.Index(fields=("correlation_id", "placed_at"), name="audit_hold_correlation"),)

    def __str__(self) -> str:
        return f"hold on {self.correlation_id}"
