"""Signed receipts whose promise was not kept."""

from typing import Any

from django.db import models

from audit.models.base import Discrepancy


class BrokenPromise(Discrepancy):
    """An event that was taken with a signed receipt, and is not where the receipt says it would be."""

    KINDS = ("missing", "altered", "late")
    NOUN = "promise"

    event_id = models.UUIDField()
    kind = models.CharField(max_length=20, choices=[(kind, kind) for kind in KINDS])
    writer = models.CharField(max_length=100)
    digest = models.CharField(max_length=64)
    promised = models.CharField(max_length=10, help_text="The state that the receipt promised.")
    promised_at = models.DateTimeField()
    sealed_by = models.DateTimeField()
    why = models.TextField()

    class Meta:
        default_permissions = ("view",)
        permissions = (("verify_receipt", "Can verify receipts"),)
        ordering = ("-found_at", "-id")
        constraints = (models.UniqueConstraint(fields=("event_id", "kind"), name="audit_brokenpromise_one"),)

    def __str__(self) -> str:
        return f"{self.event_id}: {self.kind}"

    def facts(self) -> dict[str, Any]:
        return {
            "event_id": str(self.event_id),
            "kind": self.kind,
            "writer": self.writer,
            "digest": self.digest,
            "promised": self.promised,
            "promised_at": self.promised_at.isoformat(),
            "sealed_by": self.sealed_by.isoformat(),
            "why": self.why,
        }
