"""Evidence bundles: who asked for what, how far it is, and what was made."""

import uuid

from django.db import models


class Export(models.Model):
    """One evidence bundle. What is said here of a bundle that was made is also a record, with its digest."""

    KINDS = ("query", "range")
    STATES = ("pending", "running", "ready", "cancelled", "failed", "expired")
    UNDER_WAY = ("pending", "running")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    state = models.CharField(max_length=20, default="pending", choices=[(state, state) for state in STATES])
    kind = models.CharField(max_length=10, choices=[(kind, kind) for kind in KINDS])
    query = models.TextField(blank=True, help_text="In the grammar of the search; spans count back from the request.")
    first = models.BigIntegerField(default=0, help_text="The first leaf of a range.")
    last = models.BigIntegerField(default=0, help_text="The leaf after the last one of a range.")
    received = models.JSONField(
        null=True, help_text="The window of time whose records the range holds, and how many they are."
    )
    with_csv = models.BooleanField(default=False)
    requested_by = models.CharField(max_length=150)
    by_service = models.BooleanField(default=False, help_text="Whether a writer's key asked, and not a person.")
    sight = models.JSONField(default=list, help_text="What the one who asked may see; empty: everything.")
    requested_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    checkpoint = models.BigIntegerField(help_text="The number of the checkpoint that all proofs lead to.")
    size = models.BigIntegerField(help_text="How many records that checkpoint covers.")
    total = models.BigIntegerField(null=True, help_text="How many records go in, once it is known.")
    done = models.BigIntegerField(default=0, help_text="Records in whole volumes.")
    volumes = models.JSONField(default=list, help_text="The volumes that are whole, with what is known of each.")
    manifest = models.JSONField(null=True)
    digest = models.CharField(max_length=64, blank=True, help_text="SHA-256 of manifest.json.")
    bytes = models.BigIntegerField(default=0, help_text="Of the zip.")
    error = models.TextField(blank=True)

    class Meta:
        default_permissions = ("view",)
        permissions = (("make_export", "Can make and fetch evidence bundles"),)
        ordering = ("-requested_at", "id")
        verbose_name = "evidence bundle"
        indexes = (
            models.Index(fields=("requested_at",), name="audit_export_under_way", condition=models.Q(ended_at=None)),
        )

    def __str__(self) -> str:
        return f"evidence {self.id}"

    @property
    def name(self) -> str:
        """The name of its zip."""
        return f"evidence-{self.id}.zip"
