"""Counts per UTC day of receipt and per writer, each made where it happened; alarms until somebody heard them."""

from typing import Any

from django.db import models

from audit.models.base import Discrepancy, NotedQuerySet, visible_raw


class Account(models.Model):
    """Records of one day and writer, counted as the log was read."""

    day = models.DateField()
    writer = models.TextField()
    direct = models.BigIntegerField(default=0, help_text="Stored at once.")
    queued = models.BigIntegerField(
        default=0, help_text="Stored after waiting in the dead letter queue (parked_at is set)."
    )
    spooled = models.BigIntegerField(default=0, help_text="Stored from the local spool, without the queue.")
    changed_at = models.DateTimeField()

    class Meta:
        default_permissions = ("view",)
        verbose_name_plural = "accounts"
        constraints = (models.UniqueConstraint(fields=("day", "writer"), name="audit_account_one"),)

    def __str__(self) -> str:
        return f"{self.writer} on {self.day}"


class Passage(models.Model):
    """What the queue counted of one day and writer, as it was last copied (`dlq.counters`)."""

    queue = models.CharField(max_length=100)
    day = models.DateField()
    writer = models.TextField()
    first = models.CharField(
        max_length=50, help_text="The stream id of the first. A Redis that lost it starts a new count."
    )
    came = models.BigIntegerField(default=0)
    again = models.BigIntegerField(default=0, help_text="How many of them came back from the quarantine.")
    drained = models.BigIntegerField(default=0)
    duplicate = models.BigIntegerField(default=0)
    quarantined = models.BigIntegerField(default=0)
    discarded = models.BigIntegerField(default=0)
    here = models.BigIntegerField(default=0, help_text="How many are in the queue; 0 if Redis no longer knows them.")
    dead = models.BigIntegerField(default=0)
    copied_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = (models.UniqueConstraint(fields=("queue", "day", "writer", "first"), name="audit_passage_one"),)
        indexes = (models.Index(fields=("day", "writer"), name="audit_passage_day"),)

    def __str__(self) -> str:
        return f"{self.writer} on {self.day} from {self.first}"


class Promise(models.Model):
    """How many events one process answered 202: what came to the queue, known without Redis."""

    process = models.UUIDField()
    day = models.DateField()
    writer = models.TextField()
    parked = models.BigIntegerField()
    handed_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = (models.UniqueConstraint(fields=("process", "day", "writer"), name="audit_promise_one"),)
        indexes = (models.Index(fields=("day", "writer"), name="audit_promise_day"),)

    def __str__(self) -> str:
        return f"{self.parked} of {self.writer} on {self.day}"


class Rejection(models.Model):
    """How many events of one day and writer were refused for one reason."""

    day = models.DateField()
    writer = models.TextField()
    reason = models.CharField(max_length=100)
    life = models.CharField(
        max_length=32, blank=True, help_text="Which count in Redis this is; blank if counted by the store itself."
    )
    events = models.BigIntegerField()

    class Meta:
        default_permissions = ()
        constraints = (models.UniqueConstraint(fields=("day", "writer", "reason", "life"), name="audit_rejection_one"),)

    def __str__(self) -> str:
        return f"{self.events} of {self.writer} on {self.day}: {self.reason}"


class Loss(Discrepancy):
    """How somebody explains a loss that the account shows. The loss stays: the events were promised."""

    NOUN = "account"

    day = models.DateField()
    writer = models.TextField()
    lost = models.BigIntegerField(help_text="How many events were lost when the explanation was given.")

    class Meta:
        default_permissions = ()
        constraints = (models.UniqueConstraint(fields=("day", "writer"), name="audit_loss_one"),)

    def __str__(self) -> str:
        return f"{self.lost} of {self.writer} on {self.day}"

    def facts(self) -> dict[str, Any]:
        return {"day": self.day.isoformat(), "writer": self.writer, "lost": self.lost}


class RejectedManager(models.Manager["RejectedSample"]):
    """Raw bytes, of which the viewer sees those of their writers."""

    def get_queryset(self) -> NotedQuerySet["RejectedSample"]:
        rows: NotedQuerySet[RejectedSample] = NotedQuerySet(self.model, using=self._db)
        return rows.filter(visible_raw("writer"))


class RejectedSample(models.Model):
    """The beginning of a refused event, one of the newest of its writer and reason."""

    id = models.CharField(max_length=32, primary_key=True)
    at = models.DateTimeField()
    writer = models.TextField()
    reason = models.CharField(max_length=100)
    detail = models.TextField()
    body = models.BinaryField()

    objects = RejectedManager()

    class Meta:
        default_permissions = ("view",)
        ordering = ("-at", "-id")
        verbose_name = "rejected event"
        indexes = (models.Index(fields=("writer", "reason", "-at"), name="audit_rejected_newest"),)

    def __str__(self) -> str:
        return f"{self.writer}: {self.reason}"


class DayRecord(models.Model):
    """The account of a day, kept first and then recorded under this event id."""

    day = models.DateField()
    version = models.IntegerField(help_text="Starts at 1; each later version corrects the one before.")
    part = models.IntegerField(help_text="Starts at 1; a day with many writers takes several records.")
    event_id = models.UUIDField()
    document = models.JSONField()
    made_at = models.DateTimeField()
    written_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        ordering = ("day", "version", "part")
        constraints = (models.UniqueConstraint(fields=("day", "version", "part"), name="audit_dayrecord_one"),)

    def __str__(self) -> str:
        return f"account of {self.day}, version {self.version}"


class OutboxAlarm(models.Model):
    """One alarm, kept in the transaction of what it tells, until every configured way took it."""

    alarm = models.CharField(max_length=100)
    text = models.TextField()
    figures = models.JSONField(default=dict)
    made_at = models.DateTimeField(auto_now_add=True)
    taken_by = models.JSONField(default=list, help_text="The ways (e-mail, webhook) that already delivered it.")
    tried_at = models.DateTimeField(null=True)
    heard_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        indexes = (models.Index(fields=("id",), name="audit_outbox_unheard", condition=models.Q(heard_at=None)),)

    def __str__(self) -> str:
        return f"{self.alarm}: {self.text}"
