"""Retention: how long records are kept, what may not be removed, and what two people decide about both."""

from datetime import datetime
from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from audit.formats import event
from audit.models.base import AppendOnly, AppendOnlyQuerySet
from audit.models.records import Record

MAX_DAYS = 36_500


class InsertedOnly(AppendOnly):
    """A row that is inserted as any other, and never changed or removed: triggers and rights hold it as well."""

    class Meta:
        abstract = True

    def insert(self) -> None:
        """Raises `IntegrityError` where PostgreSQL refuses it."""
        plain: models.QuerySet[Any] = models.QuerySet(type(self))
        plain.bulk_create([self])


class LegalHoldQuerySet(AppendOnlyQuerySet["LegalHold"]):
    def in_force(self) -> "LegalHoldQuerySet":
        """Those that nobody has released."""
        return self.filter(release=None)

    def on_correlations(self) -> "LegalHoldQuerySet":
        """Those that name a correlation and nothing else."""
        nothing = {name: "" for name in LegalHold.COLUMNS if name != "correlation_id"}
        return self.filter(since=None, before=None, **nothing).exclude(correlation_id="")

    def covering(self, record: Record) -> "LegalHoldQuerySet":
        """Those on this record, in force or released."""
        own = {name: ("", getattr(record, column)) for name, column in LegalHold.COLUMNS.items()}
        at = record.event_timestamp
        return self.filter(
            Q(since=None) | Q(since__lte=at),
            Q(before=None) | Q(before__gt=at),
            **{f"{name}__in": values for name, values in own.items()},
        )


class LegalHold(InsertedOnly):
    """A hold on all records that have what it names, also those still to come. It is placed once, and never changed."""

    # What a hold may name, and the column of the records that has to be equal; "" names nothing.
    COLUMNS: ClassVar = {
        "correlation_id": "correlation_id",
        "actor": "actor_id",
        "resource": "resource_id",
        "writer": "writer",
        "category": "event_category",
    }

    matter = models.CharField(max_length=200, db_default="")
    correlation_id = models.CharField(max_length=255)
    actor = models.CharField(max_length=255, db_default="")
    resource = models.CharField(max_length=255, db_default="")
    writer = models.CharField(max_length=100, db_default="")
    category = models.CharField(max_length=50, db_default="")
    since = models.DateTimeField(null=True, help_text="Records of events from this time on.")
    before = models.DateTimeField(null=True, help_text="Records of events before this time.")
    reason = models.TextField()
    placed_by = models.CharField(max_length=150)
    placed_at = models.DateTimeField()
    by_service = models.BooleanField(
        db_default=False, help_text="Whether a service placed it by its key, not a person."
    )

    objects: ClassVar[models.Manager["LegalHold"]] = models.Manager.from_queryset(LegalHoldQuerySet)()

    class Meta:
        default_permissions = ("view",)
        permissions = (("place_legalhold", "Can place and release legal holds"),)
        base_manager_name = "objects"
        ordering = ("-placed_at", "-id")
        indexes = (models.Index(fields=("correlation_id", "placed_at"), name="audit_hold_correlation"),)

    def __str__(self) -> str:
        return f"hold {self.pk}"

    @property
    def released(self) -> "HoldRelease | None":
        return getattr(self, "release", None)

    @property
    def released_at(self) -> datetime | None:
        return None if self.released is None else self.released.released_at

    @property
    def is_on_correlation(self) -> bool:
        """Whether it names a correlation and nothing else."""
        return bool(self.correlation_id) and not any(
            (self.actor, self.resource, self.writer, self.category, *self.span)
        )

    @property
    def span(self) -> tuple[datetime | None, datetime | None]:
        return self.since, self.before


class RetentionRequest(InsertedOnly):
    """What one person asks for. It is done once a second person approves it."""

    KINDS = (("policy", "change of a floor"), ("release", "release of a hold"), ("purge", "purge"))

    kind = models.CharField(max_length=10, choices=KINDS)
    category = models.CharField(
        max_length=event.limit("event_category"), blank=True, help_text="The category of a floor (blank = the default)."
    )
    days = models.IntegerField(null=True, help_text="For how many days a record is kept at least.")
    hold = models.ForeignKey(LegalHold, on_delete=models.DO_NOTHING, null=True, related_name="release_requests")
    by_service = models.BooleanField(
        db_default=False, help_text="Whether a service asked by its key: for its own hold."
    )
    cut = models.DateTimeField(null=True, help_text="A purge removes what is kept until then and no longer.")
    first = models.BigIntegerField(null=True, help_text="The first log entry that it would remove.")
    size = models.BigIntegerField(null=True, help_text="The log entry after the last one that it would remove.")
    counts = models.JSONField(null=True, help_text="What it would remove, by category and month of storage.")
    without_archive = models.TextField(
        db_default="", help_text="Why what a purge removes need not be in an archive (blank = it has to be)."
    )
    reason = models.TextField()
    asked_by = models.CharField("requested by", max_length=150)
    asked_at = models.DateTimeField("requested at", db_default=Now())

    objects: ClassVar[models.Manager["RetentionRequest"]] = models.Manager.from_queryset(
        AppendOnlyQuerySet["RetentionRequest"]
    )()

    class Meta:
        default_permissions = ("view",)
        permissions = (
            ("ask_retention", "Can ask for changes of retention"),
            ("approve_retention", "Can approve changes of retention that another person asked for"),
        )
        base_manager_name = "objects"
        ordering = ("-id",)
        verbose_name = "retention request"

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.pk}"

    @property
    def decided(self) -> "RetentionDecision | None":
        """What was decided; None while nobody has decided."""
        return getattr(self, "decision", None)

    @property
    def is_approved(self) -> bool:
        return self.decided is not None and self.decided.decision == "approved"


class RetentionDecision(InsertedOnly):
    """What a second person decided; or the first one, who took it back. It stands for good."""

    DECISIONS = tuple((word, word) for word in ("approved", "declined", "withdrawn"))

    request = models.OneToOneField(
        RetentionRequest, on_delete=models.DO_NOTHING, primary_key=True, related_name="decision"
    )
    decision = models.CharField(max_length=10, choices=DECISIONS)
    decided_by = models.CharField(max_length=150)
    decided_at = models.DateTimeField(db_default=Now())
    record_id = models.UUIDField(help_text="The record of the decision.")

    objects: ClassVar[models.Manager["RetentionDecision"]] = models.Manager.from_queryset(
        AppendOnlyQuerySet["RetentionDecision"]
    )()

    class Meta:
        default_permissions = ()
        base_manager_name = "objects"

    def __str__(self) -> str:
        return f"{self.decision} by {self.decided_by}"


class Floor(models.Model):
    """For how long the records of a category are kept at least, from when on: a view of what was approved."""

    request = models.OneToOneField(
        RetentionRequest, on_delete=models.DO_NOTHING, primary_key=True, related_name="+", db_column="request_id"
    )
    category = models.CharField(max_length=event.limit("event_category"))
    days = models.IntegerField()
    applies_from: "models.DateTimeField[datetime, datetime]" = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "audit_floor"
        default_permissions = ()
        ordering = ("category", "-applies_from", "-request_id")

    def __str__(self) -> str:
        return f"{self.category or 'default'}: {self.days} days"


class HoldRelease(models.Model):
    """Who released a hold, when and why: a view of what was approved."""

    hold = models.OneToOneField(LegalHold, on_delete=models.DO_NOTHING, primary_key=True, related_name="release")
    asked_by = models.CharField(max_length=150)
    reason = models.TextField()
    released_by = models.CharField(max_length=150)
    released_at: "models.DateTimeField[datetime, datetime]" = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "audit_holdrelease"
        default_permissions = ()

    def __str__(self) -> str:
        return f"release of {self.hold_id}"


class PurgeRun(models.Model):
    """How far a purge has come. PostgreSQL alone writes it (audit/sql/0055_purge.sql)."""

    plan = models.OneToOneField(RetentionRequest, on_delete=models.DO_NOTHING, primary_key=True, related_name="run")
    position = models.BigIntegerField(help_text="The log entry that is looked at next.")
    purged = models.BigIntegerField()
    started_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"run of purge {self.plan_id}"


class Purged(models.Model):
    """The records of the log entries `first` to `last` - 1 were removed under a plan. The leaves are still there."""

    first = models.BigIntegerField(primary_key=True)
    last = models.BigIntegerField()
    plan = models.ForeignKey(RetentionRequest, on_delete=models.DO_NOTHING, related_name="+")

    objects: ClassVar[models.Manager["Purged"]] = models.Manager.from_queryset(AppendOnlyQuerySet["Purged"])()

    class Meta:
        default_permissions = ()
        base_manager_name = "objects"
        ordering = ("first",)

    def __str__(self) -> str:
        return f"log entries {self.first} to {self.last - 1}"


class PurgeCount(models.Model):
    """How many records of a category and a month of storage were removed under a plan."""

    plan = models.ForeignKey(RetentionRequest, on_delete=models.DO_NOTHING, related_name="removed")
    category = models.CharField(max_length=event.limit("event_category"))
    month = models.CharField(max_length=7)
    records = models.BigIntegerField()

    class Meta:
        default_permissions = ()
        ordering = ("category", "month")
        constraints = (models.UniqueConstraint(fields=("plan", "category", "month"), name="audit_purgecount_one"),)

    def __str__(self) -> str:
        return f"{self.records} of {self.category} in {self.month}"


class PurgeMonth(models.Model):
    """A month of records that went as a whole: its partition was detached and dropped."""

    plan = models.ForeignKey(RetentionRequest, on_delete=models.DO_NOTHING, related_name="months")
    name = models.CharField(max_length=63)
    records = models.BigIntegerField()
    state = models.TextField()
    looked_at = models.DateTimeField()
    detached_at = models.DateTimeField(null=True)
    dropped_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = (models.UniqueConstraint(fields=("plan", "name"), name="audit_purgemonth_one"),)

    def __str__(self) -> str:
        return self.name
