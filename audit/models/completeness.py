"""What should be here: the numbers that writers gave their events, heartbeats, manifests, and what never came."""

from typing import Any

from django.db import models

from audit.formats import event
from audit.models.base import Discrepancy

# Leaves that a step of a follower reads at most.
MAX_FOLLOWED = 20_000


class Followed(models.Model):
    """The log cursor of a follower: the leaf that it reads next."""

    COMPLETENESS = "completeness"

    name = models.CharField(max_length=50, primary_key=True)
    position = models.BigIntegerField(default=0)
    followed_at = models.DateTimeField(null=True, help_text="Everything stored before this time has been read.")
    batch = models.PositiveIntegerField(db_default=MAX_FOLLOWED, help_text="How many log entries the next step reads.")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.name} at {self.position}"


class Numbering(models.Model):
    """The sequence of one writer and epoch, as far as it came."""

    writer = models.CharField(max_length=100)
    epoch = models.CharField(max_length=event.limit("source_epoch"), blank=True)
    highest = models.BigIntegerField(
        default=0, help_text="All numbers up to this one arrived, except those that the gaps list."
    )
    highest_at = models.DateTimeField(null=True, help_text="The event time of the event with that number.")
    events = models.BigIntegerField(default=0)
    reused = models.BigIntegerField(default=0, help_text="Events with a number that another event already had.")
    reused_first = models.JSONField(default=list, help_text="The first of them: number and record id.")
    began_at = models.DateTimeField(null=True)
    updated_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = (models.UniqueConstraint(fields=("writer", "epoch"), name="audit_numbering_one"),)

    def __str__(self) -> str:
        return f"{self.writer} {self.epoch}".strip()


class Gap(Discrepancy):
    """Numbers that were left out when later ones came."""

    WRITER = "numbering__writer"
    RELATED = ("numbering",)

    numbering = models.ForeignKey(Numbering, on_delete=models.PROTECT, related_name="gaps")
    first = models.BigIntegerField(help_text="The first missing number when the gap was detected.")
    last = models.BigIntegerField()
    missing = models.BigIntegerField(help_text="How many are still missing.")
    after_at = models.DateTimeField(
        null=True, help_text="The event time of the number before: the missing events were made after it."
    )
    before_at = models.DateTimeField(
        help_text="The event time of the number after: the missing events were made before it."
    )
    tail = models.BooleanField(default=False, help_text="Reported by a heartbeat: no later event has arrived yet.")
    last_late_at = models.DateTimeField(null=True, help_text="When the last of them arrived late.")

    class Meta:
        default_permissions = ("view",)
        permissions = (("explain_gap", "Can explain a gap"),)
        ordering = ("-found_at", "-id")
        indexes = (
            models.Index(fields=("numbering", "first"), name="audit_gap_open", condition=models.Q(closed_at=None)),
        )

    def __str__(self) -> str:
        return (
            f"{self.numbering}: {self.first} to {self.last}"
            if self.first != self.last
            else f"{self.numbering}: {self.first}"
        )

    @property
    def writer_name(self) -> str:
        return self.numbering.writer

    def facts(self) -> dict[str, Any]:
        return {
            "writer": self.numbering.writer,
            "epoch": self.numbering.epoch,
            "first": self.first,
            "last": self.last,
            "missing": self.missing,
            "after": self.after_at and self.after_at.isoformat(),
            "before": self.before_at.isoformat(),
        }


class Hole(models.Model):
    """A missing range: numbers without an event, and between which times each must have been made."""

    gap = models.ForeignKey(Gap, on_delete=models.PROTECT, related_name="holes")
    numbering = models.ForeignKey(Numbering, on_delete=models.PROTECT, related_name="holes")
    first = models.BigIntegerField()
    last = models.BigIntegerField()
    after_at = models.DateTimeField(null=True)
    before_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        ordering = ("first",)
        indexes = (models.Index(fields=("numbering", "first"), name="audit_hole_place"),)

    def __str__(self) -> str:
        return f"{self.first} to {self.last}"


class Heartbeat(models.Model):
    """The last heartbeat of a writer, with the last number that it had given out."""

    writer = models.CharField(max_length=100)
    epoch = models.CharField(max_length=event.limit("source_epoch"), blank=True)
    seq = models.BigIntegerField(null=True)
    at = models.DateTimeField()
    waiting_seq = models.BigIntegerField(null=True, help_text="An earlier number that is still too recent to judge.")
    waiting_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = (models.UniqueConstraint(fields=("writer", "epoch"), name="audit_heartbeat_one"),)

    def __str__(self) -> str:
        return f"{self.writer} at {self.at:%Y-%m-%d %H:%M:%S}Z"


class Manifest(Discrepancy):
    """What a writer stated that it made in a window. Closed while what came agrees with it."""

    NOUN = "manifest"
    LARGE = ("event_ids",)

    key = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the writer and the statement.")
    writer = models.CharField(max_length=100)
    epoch = models.CharField(max_length=event.limit("source_epoch"), blank=True)
    since = models.DateTimeField()
    until = models.DateTimeField()
    count = models.BigIntegerField()
    first_seq = models.BigIntegerField(null=True)
    last_seq = models.BigIntegerField(null=True)
    event_ids = models.JSONField(default=list)
    ids_digest = models.CharField(max_length=64, blank=True)
    contents_digest = models.CharField(max_length=64, blank=True)
    came = models.BigIntegerField(default=0)
    surplus = models.BigIntegerField(default=0, help_text="Events that arrived beyond the stated number.")
    agrees = models.BooleanField(default=False)
    looked_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ("view",)
        ordering = ("-found_at", "-id")
        indexes = (models.Index(fields=("writer",), name="audit_manifest_open", condition=models.Q(closed_at=None)),)

    def __str__(self) -> str:
        return f"{self.writer}: {self.since:%Y-%m-%d %H:%M} to {self.until:%Y-%m-%d %H:%M}"

    @property
    def short(self) -> int:
        return max(self.count - self.came, 0)

    @property
    def outcome(self) -> str:
        """In a word: what came is what was stated, less of it, or something else."""
        return "complete" if self.agrees else "incomplete" if self.short else "differs"

    def facts(self) -> dict[str, Any]:
        return {
            "writer": self.writer,
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
            "count": self.count,
            "came": self.came,
            "outcome_of_manifest": self.outcome,
            "manifest": self.key,
        }


class Rhythm(models.Model):
    """Writer activity: when a writer was last heard, and how long its silences usually are."""

    writer = models.CharField(max_length=100, primary_key=True)
    events = models.BigIntegerField(default=0)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField(help_text="When the newest event was received.")
    longest = models.JSONField(default=dict, help_text="The longest silence of each day, in seconds.")
    read_at = models.DateTimeField(null=True, help_text="When events of this writer were last read from the log.")
    told_at = models.DateTimeField(null=True, help_text="When the alarm about its silence was sent.")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.writer


class HourCount(models.Model):
    """The events of one writer in one hour, by the time at which the writer says they happened."""

    writer = models.CharField(max_length=100)
    hour = models.DateTimeField(help_text="The beginning of the hour, UTC.")
    events = models.BigIntegerField(default=0)
    failures = models.BigIntegerField(default=0, help_text="Events with the outcome failure.")
    parked = models.BigIntegerField(default=0, help_text="Events that came through the dead letter queue.")

    class Meta:
        default_permissions = ("view",)
        verbose_name = "hour of a writer"
        verbose_name_plural = "hours of writers"
        constraints = (models.UniqueConstraint(fields=("writer", "hour"), name="audit_hourcount_one"),)
        indexes = (models.Index(fields=("hour",), name="audit_hourcount_hour"),)

    def __str__(self) -> str:
        return f"{self.writer} {self.hour:%Y-%m-%d %H}h: {self.events}"


class CompletenessCount(models.Model):
    """A part of what is counted of one writer's findings or numbers: rows of one kind, rule and hour add up.

    Triggers write a row for each statement that changed something; `audit.completeness.counts` folds them.
    """

    kind = models.CharField(max_length=20, help_text="Of what: the name of a model.")
    writer = models.CharField(max_length=100)
    rule = models.BigIntegerField(null=True, help_text="The expectation that was not met.")
    hour = models.DateTimeField(null=True, help_text="When they were found: the hour, later the day, then nothing.")
    open = models.BigIntegerField()
    explained = models.BigIntegerField()
    every = models.BigIntegerField(help_text="How many there ever were.")
    missing = models.BigIntegerField(help_text="Numbers that never came, by what is open.")
    missing_explained = models.BigIntegerField()
    numbered = models.BigIntegerField(help_text="Events that have a number.")
    reused = models.BigIntegerField(help_text="Events with a number that another event already had.")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.kind} of {self.writer}"
