"""The audit side of the dead letter queue: quarantine, discards, outages."""

from typing import ClassVar

from django.db import models

from audit.models.base import AppendOnly, NotedAppendOnlyQuerySet, visible_raw


class QuarantinedManager(models.Manager["Quarantined"]):
    """Raw bytes, of which the viewer sees those of their writers."""

    def get_queryset(self) -> NotedAppendOnlyQuerySet["Quarantined"]:
        rows: NotedAppendOnlyQuerySet[Quarantined] = NotedAppendOnlyQuerySet(self.model, using=self._db)
        return rows.filter(visible_raw("source"))


class Quarantined(AppendOnly):
    """A parked event moved out of Redis, as it was: audit/sql/0004_quarantine.sql."""

    n = models.BigIntegerField(primary_key=True)
    message_id = models.TextField()
    key = models.TextField()
    digest = models.BinaryField()
    body = models.BinaryField()
    source = models.TextField()
    kind = models.TextField()
    reason = models.TextField()
    attempts = models.IntegerField()
    errors = models.TextField()
    received_at = models.DateTimeField(null=True)
    parked_at = models.DateTimeField()
    cause = models.TextField()
    quarantined_by = models.TextField()
    quarantined_at = models.DateTimeField()
    beside = models.BinaryField(null=True)

    objects: ClassVar[models.Manager["Quarantined"]] = QuarantinedManager()

    class Meta:
        db_table = "audit_quarantine"
        default_permissions = ("view",)
        base_manager_name = "objects"
        ordering = ("-n",)
        verbose_name = "quarantined event"
        verbose_name_plural = "quarantined events"

    def __str__(self) -> str:
        return f"quarantined event {self.key}"


class Discard(models.Model):
    """A request to give a parked event up: who asked, why, and what a second person decided."""

    key = models.TextField()
    message_id = models.TextField()
    digest = models.CharField(max_length=64)
    source = models.TextField()
    kind = models.TextField()
    reason = models.CharField(max_length=1000)
    asked_by = models.CharField("requested by", max_length=150)
    asked_at = models.DateTimeField("requested at")
    decision = models.CharField(max_length=20, blank=True)
    decided_by = models.CharField(max_length=150, blank=True)
    decided_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ("view",)
        permissions = (("approve_discard", "Can approve that a parked event is discarded"),)
        ordering = ("-id",)
        verbose_name = "discard"

    def __str__(self) -> str:
        return f"discard of {self.key}"


class Episode(models.Model):
    """An outage: a time during which events had to be parked, what became of them, and what people did about it."""

    began_at = models.DateTimeField(unique=True)
    up_at = models.DateTimeField(null=True)
    emptied_at = models.DateTimeField(null=True)
    reasons = models.JSONField(default=dict)
    parked = models.BigIntegerField()
    stored = models.BigIntegerField()
    quarantined = models.BigIntegerField()
    discarded = models.BigIntegerField()
    left = models.BigIntegerField()
    dead = models.BigIntegerField()
    deepest = models.BigIntegerField()
    lost = models.BigIntegerField()
    note = models.TextField(blank=True)
    noted_by = models.CharField(max_length=150, blank=True)
    noted_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ("view",)
        permissions = (("note_episode", "Can write the remediation of an outage"),)
        ordering = ("-began_at",)
        verbose_name = "outage"

    def __str__(self) -> str:
        return f"outage of {self.began_at:%Y-%m-%d %H:%M:%S}Z"


class QueueGeneration(models.Model):
    """The generation of the queue that is known, and how far it had come when it was copied last (`dlq.generation`)."""

    queue = models.CharField(max_length=100, primary_key=True)
    generation = models.CharField(max_length=32)
    last_id = models.CharField(max_length=50, help_text="The highest id that its stream had assigned.")
    enqueued = models.BigIntegerField()
    gone = models.BigIntegerField()
    base = models.JSONField(default=dict, help_text="What the counters of a restored queue had already counted.")
    restored = models.JSONField(default=dict, help_text="What was detected when it was restored.")
    told_at = models.DateTimeField(null=True, help_text="When the alarm about it was sent.")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.queue} {self.generation}"


class Parked(models.Model):
    """A stand-in for the dead letter queue, so that the admin can list it. It has no table."""

    class Meta:
        managed = False
        default_permissions = ("view",)
        permissions = (("retry_parked", "Can retry, snooze and quarantine parked events"),)
        verbose_name = "parked event"
        verbose_name_plural = "parked events"

    def __str__(self) -> str:
        return f"parked event {self.pk}"
