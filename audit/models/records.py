"""What the store keeps: records, and the writers that may send them."""

from typing import Any, ClassVar, NoReturn, TypeVar

from django.db import models

from audit import visibility
from audit.errors import Immutable
from audit.formats import canonical, event
from audit.models.watched import Watching, raw, within

ModelT = TypeVar("ModelT", bound=models.Model)

OWN_WRITER = "auditsite"
"""The writer of the records that the store makes of its own acts."""


class AppendOnlyQuerySet(Watching[ModelT]):
    """A QuerySet that reads. Only `audit.record` inserts, and nobody updates or deletes."""

    is_watched = False  # the log itself is everybody's who may see it

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise Immutable

    async def _arefuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise Immutable

    create = update = delete = bulk_create = bulk_update = _refuse
    get_or_create = update_or_create = _update = _raw_delete = _insert = _refuse
    acreate = aupdate = adelete = abulk_create = abulk_update = _arefuse
    aget_or_create = aupdate_or_create = _arefuse
    for method in (update, delete, bulk_create, bulk_update):
        method.alters_data = True  # type: ignore[attr-defined]
    del method


def text(field: str, **options: Any) -> "models.CharField[Any, Any]":
    """A column exactly as wide as the event's field of the same name."""
    return models.CharField(max_length=event.limit(field), **options)


class AppendOnly(models.Model):
    """A row that is inserted by SQL of its own and never changes."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise Immutable

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise Immutable


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


class WatchedQuerySet(AppendOnlyQuerySet[ModelT]):
    """Reads, and tells what."""

    is_watched = True


class RecordQuerySet(WatchedQuerySet["Record"]):
    """Reading records."""

    def within(self, sight: visibility.Sight) -> "RecordQuerySet":
        """Those that somebody with this sight may see."""
        return self.filter(within(sight, "writer", "event_category")) if sight else self

    def with_state(self) -> "RecordQuerySet":
        """Know of each row whether it is sealed, in the same query."""
        return self.annotate(sealed=models.Exists(Leaf.objects.filter(record_id=models.OuterRef("id"))))


RecordsManager = models.Manager.from_queryset(RecordQuerySet)


class RecordManager(RecordsManager["Record"]):
    """Records, of which nobody is given one that he may not see, whatever page or path asks."""

    def get_queryset(self) -> RecordQuerySet:
        return RecordQuerySet(self.model, using=self._db).within(visibility.sight())


class Record(AppendOnly):
    """The immutable row that stores one event. The table is made by audit/sql/0001_record.sql."""

    id = models.UUIDField(primary_key=True)
    writer = models.CharField(max_length=100)
    version = text("version")
    event_type = text("event_type")
    event_timestamp = models.DateTimeField()
    event_category = text("event_category")
    event_action = text("event_action")
    event_outcome = models.CharField(
        max_length=10, choices=[(value, value) for value in ("success", "failure", "pending")]
    )
    correlation_id = text("correlation_id")
    event_data = models.JSONField()
    actor_type = text("actor_type")
    actor_id = text("actor_id")
    actor_ip = text("actor_ip", null=True)
    resource_type = text("resource_type")
    resource_id = text("resource_id")
    parent_event_id = models.UUIDField(null=True)
    namespace = text("namespace", null=True)
    cluster_id = text("cluster_id", null=True)
    severity = text("severity")
    duration_ms = models.IntegerField(null=True)
    error_code = text("error_code", null=True)
    error_message = text("error_message", null=True)
    retention_days = models.IntegerField(null=True)
    is_sensitive = models.BooleanField()
    source_seq = models.BigIntegerField(null=True)
    source_epoch = text("source_epoch", null=True)
    digest = models.BinaryField()
    received_at = models.DateTimeField()
    parked_at = models.DateTimeField(null=True)
    stored_at = models.DateTimeField()

    objects = RecordManager()

    class Meta:
        db_table = "audit_record"
        default_permissions = ("view",)
        base_manager_name = "objects"
        ordering = ("-event_timestamp", "-id")

    def __str__(self) -> str:
        return f"{self.event_type} {self.id}"

    @property
    def state(self) -> str:
        """The promise that holds for this record, in the words of the API."""
        # A leaf and the checkpoint that covers it are committed together.
        sealed = self.__dict__.get("sealed")  # by with_state()
        if sealed is None:
            sealed = Leaf.objects.filter(record_id=self.id).exists()
        return "sealed" if sealed else "stored"

    def document(self) -> dict[str, Any]:
        """The event as it was accepted: what the digest covers."""
        document = {name: getattr(self, name) for name in event.FIELDS if name != "event_id"}
        document |= {"event_id": str(self.id), "writer": self.writer}
        document["event_timestamp"] = event.timestamp_text(self.event_timestamp)
        if self.parent_event_id is not None:
            document["parent_event_id"] = str(self.parent_event_id)
        return {name: value for name, value in document.items() if value is not None}

    @property
    def digest_holds(self) -> bool:
        """Whether the digest, computed anew from what the database returns, is the stored one."""
        return canonical.digest(canonical.canonical(self.document())) == bytes(self.digest)


class Verification(models.Model):
    """One run of `verify`: what it covered and what it found. `position` is where it goes on."""

    SCOPES = ("all", "range", "correlation", "newest", "rolling")
    VERDICTS = ("VERIFIED", "ALTERED", "MISSING", "UNKNOWN", "FORKED", "NOT COVERED")

    scope = models.CharField(max_length=20, choices=[(name, name) for name in SCOPES])
    correlation_id = text("correlation_id", blank=True)
    first = models.BigIntegerField(default=0, help_text="The first leaf.")
    last = models.BigIntegerField(default=0, help_text="The leaf after the last one.")
    position = models.BigIntegerField(default=0, help_text="The leaf that is next.")
    requested_by = models.CharField(max_length=150)
    started_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    verdict = models.CharField(max_length=20, blank=True, choices=[(name, name) for name in VERDICTS])
    counts = models.JSONField(default=dict, help_text="How many of each were checked.")
    not_covered = models.JSONField(default=list, help_text="What was not checked, in words.")
    skipped = models.JSONField(default=list, help_text="Subjects of findings that this run cannot clear.")

    class Meta:
        default_permissions = ("view",)
        permissions = (("start_verification", "Can start a verification"),)
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"verification {self.pk}"


class FindingQuerySet(models.QuerySet["Finding"]):
    """Reading findings."""

    def still_so(self) -> "FindingQuerySet":
        """Those that no verification of the whole log has cleared since: one that did look at their subject."""
        whole = Verification.objects.filter(scope="all", ended_at__isnull=False).exclude(skipped__contains=["tree"])
        cleared = models.Q(pk__in=[])
        for subject in self.order_by().values_list("subject", flat=True).distinct():
            if (run := whole.exclude(skipped__contains=[subject]).first()) is not None:
                cleared |= models.Q(subject=subject, last_seen__lt=run.started_at)
        return self.exclude(cleared)


class Finding(models.Model):
    """Something that does not fit. Kept for good; `last_seen` moves while it is still so."""

    key = models.CharField(max_length=300, unique=True, editable=False)
    kind = models.CharField(max_length=20)
    subject = models.CharField(max_length=20, help_text="What is at fault: record, leaf, node, checkpoint ...")
    record_id = models.UUIDField(null=True)
    index = models.BigIntegerField(null=True)
    detail = models.TextField()
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()
    run = models.ForeignKey(Verification, on_delete=models.PROTECT, related_name="findings", help_text="Seen last in.")

    objects: ClassVar[models.Manager["Finding"]] = models.Manager.from_queryset(FindingQuerySet)()

    class Meta:
        default_permissions = ("view",)
        ordering = ("-last_seen", "kind", "index")

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"


class QuarantinedManager(models.Manager["Quarantined"]):
    """Raw bytes, of which some may be seen."""

    def get_queryset(self) -> WatchedQuerySet["Quarantined"]:
        found: WatchedQuerySet[Quarantined] = WatchedQuerySet(self.model, using=self._db)
        return found.filter(raw("source"))


class Quarantined(AppendOnly):
    """A parked event that was kept out of Redis: audit/sql/0004_quarantine.sql."""

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

    objects: ClassVar[models.Manager["Quarantined"]] = QuarantinedManager()

    class Meta:
        db_table = "audit_quarantine"
        default_permissions = ("view",)
        base_manager_name = "objects"
        ordering = ("-n",)
        verbose_name = "quarantined event"
        verbose_name_plural = "quarantine"

    def __str__(self) -> str:
        return f"quarantined event {self.key}"


class Discard(models.Model):
    """A parked event that somebody asked to give up: who, why, and what another person decided."""

    key = models.TextField()
    message_id = models.TextField()
    digest = models.CharField(max_length=64)
    source = models.TextField()
    kind = models.TextField()
    reason = models.CharField(max_length=1000)
    asked_by = models.CharField(max_length=150)
    asked_at = models.DateTimeField()
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
    """A time during which events had to be parked: what came, what became of it, and what people say of it."""

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


class Parked(models.Model):
    """A stand-in for the dead letter queue, so that the admin can list it. It has no table."""

    class Meta:
        managed = False
        default_permissions = ("view",)
        permissions = (("retry_parked", "Can retry, snooze and quarantine parked events"),)
        verbose_name = "parked event"
        verbose_name_plural = "dead letter queue"

    def __str__(self) -> str:
        return f"parked event {self.pk}"
