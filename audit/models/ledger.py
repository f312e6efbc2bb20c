"""The sealed log: leaves, checkpoints, what verifications found."""

from typing import ClassVar
from uuid import UUID

from django.db import models

from audit.models import base
from audit.models.base import AppendOnly, AppendOnlyQuerySet


class Leaf(AppendOnly):
    """One leaf of the log: the record at `index`. It outlives the record. See audit/sql/0003_log.sql."""

    index = models.BigIntegerField(primary_key=True)
    record_id = models.UUIDField(unique=True)
    leaf_hash = models.BinaryField()

    objects: ClassVar[models.Manager["Leaf"]] = models.Manager.from_queryset(AppendOnlyQuerySet["Leaf"])()

    class Meta:
        db_table = "audit_leaf"
        default_permissions = ()
        base_manager_name = "objects"

    def __str__(self) -> str:
        return f"leaf {self.index}"


class Checkpoint(AppendOnly):
    """A signed tree head: the first `size` leaves have this root. `note` is as signed, without later cosignatures."""

    number = models.BigIntegerField(primary_key=True)
    size = models.BigIntegerField()
    root = models.BinaryField()
    note = models.TextField()
    created_at = models.DateTimeField()

    objects: ClassVar[models.Manager["Checkpoint"]] = models.Manager.from_queryset(AppendOnlyQuerySet["Checkpoint"])()

    class Meta:
        db_table = "audit_checkpoint"
        default_permissions = ("view",)
        base_manager_name = "objects"
        ordering = ("-number",)

    def __str__(self) -> str:
        return f"checkpoint {self.number} ({self.size} records)"


# In one statement's view the newest head is in exactly one of the two places.
_NEWEST_HEAD = """
SELECT number, size, root, note, created_at FROM audit_head WHERE NOT kept
UNION ALL (SELECT number, size, root, note, created_at FROM audit_checkpoint ORDER BY number DESC LIMIT 1)
ORDER BY number DESC LIMIT 1
"""


def newest_head(using: str) -> Checkpoint | None:
    """Return the newest signed head, whether it stays or not: one that does not is in no table of checkpoints."""
    return next(iter(Checkpoint.objects.using(using).raw(_NEWEST_HEAD)), None)


class LogCrossLink(AppendOnly):
    """A signed cross-link, under which the log went on after a restore (audit/formats/crosslink.py)."""

    checkpoint = models.BigIntegerField(
        primary_key=True, help_text="The number of the first checkpoint under the new name."
    )
    note = models.TextField()
    created_at = models.DateTimeField()

    objects: ClassVar[models.Manager["LogCrossLink"]] = models.Manager.from_queryset(
        AppendOnlyQuerySet["LogCrossLink"]
    )()

    class Meta:
        db_table = "audit_crosslink"
        default_permissions = ()
        base_manager_name = "objects"
        ordering = ("checkpoint",)

    def __str__(self) -> str:
        return f"cross-link before checkpoint {self.checkpoint}"


class LogResume(models.Model):
    """A request that the log of a restored store go on: who asked, why, and what a second person decided."""

    reason = models.CharField(max_length=500)
    restored = models.JSONField(help_text="The head of the restored log: name, size, root.")
    known = models.JSONField(help_text="The newest heads that are known outside: name, size, root, where.")
    unasked = models.JSONField(default=list, help_text="What could not be asked.")
    asked_by = models.CharField("requested by", max_length=150)
    asked_at = models.DateTimeField("requested at")
    decision = models.CharField(max_length=20, blank=True)
    decided_by = models.CharField(max_length=150, blank=True)
    decided_at = models.DateTimeField(null=True)
    resumed_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        permissions = (("approve_logresume", "Can approve that the log of a restored store goes on"),)
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"resume of the log, requested by {self.asked_by}"


class Verification(models.Model):
    """One run of `verify`: what it covered and what it found. `position` is where it goes on."""

    SCOPES = ("all", "range", "correlation", "newest", "rolling")
    VERDICTS = ("VERIFIED", "ALTERED", "MISSING", "UNKNOWN", "FORKED", "NOT COVERED")

    scope = models.CharField(max_length=20, choices=[(name, name) for name in SCOPES])
    correlation_id = base.text("correlation_id", blank=True)
    first = models.BigIntegerField(default=0, help_text="The first log entry that is checked.")
    last = models.BigIntegerField(default=0, help_text="The log entry after the last one that is checked.")
    position = models.BigIntegerField(default=0, help_text="The log entry that is checked next.")
    ids_position = models.UUIDField(
        db_default=UUID(int=0), help_text="Records up to this id were checked for a log entry."
    )
    checkpoints_position = models.BigIntegerField(
        null=True, help_text="Checkpoints up to this number were checked; empty: those before position."
    )
    anchor_place = models.TextField(
        db_default="", blank=True, help_text="Checkpoints of the anchor up to this place were checked."
    )
    requested_by = models.CharField(max_length=150)
    started_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    verdict = models.CharField(max_length=20, blank=True, choices=[(name, name) for name in VERDICTS])
    counts = models.JSONField(default=dict, help_text="How many of each kind were checked.")
    not_covered = models.JSONField(default=list, help_text="What was not checked, in words.")
    skipped = models.JSONField(default=list, help_text="Subjects of findings that this run cannot clear.")

    class Meta:
        default_permissions = ("view",)
        permissions = (("start_verification", "Can start a verification"),)
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"verification {self.pk}"


class ForgottenRuns(models.Model):
    """How many runs of a day that found nothing are kept no longer: audit/sql/0098_forgottenruns.sql counts them."""

    day = models.DateField(help_text="The day on which they ended, UTC.")
    scope = models.CharField(max_length=20)
    verdict = models.CharField(max_length=20)
    runs = models.BigIntegerField()
    records = models.BigIntegerField(help_text="How many records they had computed anew.")

    class Meta:
        default_permissions = ()
        constraints = (models.UniqueConstraint(fields=("day", "scope", "verdict"), name="audit_forgottenruns_day"),)

    def __str__(self) -> str:
        return f"{self.runs} runs of {self.day}"


class FindingQuerySet(models.QuerySet["Finding"]):
    def still_so(self) -> "FindingQuerySet":
        """Those that no later verification of the whole log has cleared by checking their subject."""
        whole = Verification.objects.filter(scope="all", ended_at__isnull=False).exclude(skipped__contains=["tree"])
        cleared = models.Q(pk__in=[])
        for subject in self.order_by().values_list("subject", flat=True).distinct():
            if (run := whole.exclude(skipped__contains=[subject]).first()) is not None:
                cleared |= models.Q(subject=subject, last_seen__lt=run.started_at)
        return self.exclude(cleared)


class Finding(models.Model):
    """A fault that verification found. Kept for good; `last_seen` moves while it is still there."""

    key = models.CharField(max_length=300, unique=True, editable=False)
    kind = models.CharField(max_length=20)
    subject = models.CharField(
        max_length=20, help_text="The kind of thing with the fault: record, leaf, node, checkpoint ..."
    )
    record_id = models.UUIDField(null=True)
    index = models.BigIntegerField(null=True)
    detail = models.TextField()
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()
    run = models.ForeignKey(
        Verification, on_delete=models.PROTECT, related_name="findings", help_text="The run that saw it last."
    )

    objects: ClassVar[models.Manager["Finding"]] = models.Manager.from_queryset(FindingQuerySet)()

    class Meta:
        default_permissions = ("view",)
        ordering = ("-last_seen", "kind", "index")

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"
