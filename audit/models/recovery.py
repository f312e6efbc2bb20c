"""Which backups were made, and which of them were tried."""

from typing import ClassVar

from django.db import models

from audit.models.base import AppendOnly, AppendOnlyQuerySet


class Backup(AppendOnly):
    """A backup that was made whole: its folder, what it covers, and the digest of its manifest."""

    name = models.CharField(max_length=100, primary_key=True, help_text="The name of its folder.")
    began_at = models.DateTimeField(help_text="All that was acknowledged before this time is in it.")
    ended_at = models.DateTimeField()
    bytes = models.BigIntegerField()
    log_size = models.BigIntegerField(help_text="So many log entries were signed when it began.")
    manifest = models.CharField(max_length=64, help_text="SHA-256 of its manifest.")
    made_by = models.CharField(max_length=150)

    objects: ClassVar[models.Manager["Backup"]] = models.Manager.from_queryset(AppendOnlyQuerySet["Backup"])()

    class Meta:
        db_table = "audit_backup"
        default_permissions = ("view",)
        base_manager_name = "objects"
        ordering = ("-began_at",)

    def __str__(self) -> str:
        return self.name


class RestoreDrill(AppendOnly):
    """Somebody restored a backup to see that it can be: when, from which, and with what outcome."""

    n = models.BigAutoField(primary_key=True)
    drilled_at = models.DateTimeField()
    backup = models.CharField(max_length=100, help_text="The name of the backup that was restored.")
    outcome = models.CharField(max_length=10, choices=[("success", "success"), ("failure", "failure")])
    note = models.CharField(max_length=1000, blank=True)
    drilled_by = models.CharField(max_length=150)

    objects: ClassVar[models.Manager["RestoreDrill"]] = models.Manager.from_queryset(
        AppendOnlyQuerySet["RestoreDrill"]
    )()

    class Meta:
        db_table = "audit_restoredrill"
        default_permissions = ()
        base_manager_name = "objects"
        ordering = ("-drilled_at",)

    def __str__(self) -> str:
        return f"restore drill of {self.backup}"
