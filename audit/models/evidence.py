"""Evidence bundles, archives, rules of redaction and signed statements."""

from datetime import datetime, timedelta
from typing import Any, get_args

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models

from audit import visibility
from audit.errors import Invalid
from audit.formats import redaction
from audit.formats.redaction import Rule
from audit.models.base import Job, NamedRule, NotedAppendOnlyQuerySet, rule_name, visible_to
from audit.models.ledger import Verification
from audit.models.records import EventColumns, Record

STATEMENT = "audit.statement.made"


class Export(Job):
    """One evidence bundle. Its request and, once it is made, its digest are records too."""

    KINDS = ("query", "range")
    STATES = ("pending", "running", "ready", "cancelled", "failed", "expired")

    state = models.CharField(max_length=20, default="pending", choices=[(state, state) for state in STATES])
    kind = models.CharField(max_length=10, choices=[(kind, kind) for kind in KINDS])
    query = models.TextField(
        blank=True, help_text="A query as in the search; a span such as 7d counts back from the request."
    )
    first = models.BigIntegerField(default=0, help_text="The first log entry of a range.")
    last = models.BigIntegerField(default=0, help_text="The log entry after the last one of a range.")
    received = models.JSONField(
        null=True, help_text="The times between which the records of the range were received, and how many there are."
    )
    sample = models.IntegerField(null=True, help_text="Sample size (blank = all).")
    seed = models.CharField(max_length=100, blank=True, help_text="The random seed of the sample.")
    population = models.BigIntegerField(null=True, help_text="How many records the sample is drawn from.")
    redaction = models.JSONField(
        default=list, help_text="The rules in force at the request (empty = nothing is redacted)."
    )
    unredacted = models.BooleanField(default=False, help_text="Whether it was requested without redaction.")
    with_csv = models.BooleanField(default=False)
    by_service = models.BooleanField(
        default=False, help_text="Whether a service requested it by its key, not a person."
    )
    expires_at = models.DateTimeField(null=True)
    checkpoint = models.BigIntegerField(help_text="The number of the checkpoint that all proofs refer to.")
    size = models.BigIntegerField(help_text="How many records that checkpoint covers.")
    total = models.BigIntegerField(null=True, help_text="How many records it will hold, once known.")
    done = models.BigIntegerField(default=0, help_text="Records in finished volumes.")
    volumes = models.JSONField(default=list, help_text="The finished volumes, with sizes and hashes.")
    manifest = models.JSONField(null=True)
    digest = models.CharField(max_length=64, blank=True, help_text="SHA-256 of manifest.json.")
    bytes = models.BigIntegerField(default=0, help_text="Size of the zip file.")

    class Meta:
        default_permissions = ("view",)
        permissions = (
            ("make_export", "Can make and fetch evidence bundles"),
            ("export_unredacted", "Can make evidence bundles without redaction"),
        )
        ordering = ("-requested_at", "id")
        verbose_name = "evidence bundle"
        indexes = (
            models.Index(fields=("requested_at",), name="audit_export_under_way", condition=models.Q(ended_at=None)),
        )

    def __str__(self) -> str:
        return f"evidence {self.id}"

    @property
    def is_whole(self) -> bool:
        """Whether it has every leaf of a range."""
        return self.kind == "range" and self.sample is None

    @property
    def purged(self) -> int:
        """How many leaves of its finished volumes have no record any more, for a purge removed it."""
        return sum(volume.get("purged_count", 0) for volume in self.volumes)

    @property
    def records(self) -> int:
        """How many records are in its finished volumes."""
        return self.done - self.purged

    @property
    def name(self) -> str:
        return f"evidence-{self.id}.zip"

    def range_facts(self) -> dict[str, Any]:
        """What records of acts on the bundle say about its range; empty for a query."""
        facts = {"first": self.first, "last": self.last, "received": self.received}
        return facts if self.kind == "range" else {}

    def expiry(self, now: datetime) -> dict[str, datetime]:
        return {"expires_at": now + timedelta(days=settings.EXPORT_DAYS)}


class Archive(Job):
    """A range of the log as evidence bundles in a folder or a prefix of its own. Making and checking it are records."""

    STATES = ("running", "ready")

    state = models.CharField(max_length=20, default="running", choices=[(state, state) for state in STATES])
    folder = models.TextField(help_text="Where it was made: a folder, or s3://BUCKET/PREFIX.")
    first = models.BigIntegerField(help_text="The first log entry that it holds.")
    last = models.BigIntegerField(help_text="The log entry after the last one that it holds.")
    checkpoint = models.BigIntegerField(help_text="The number of the checkpoint that all proofs refer to.")
    size = models.BigIntegerField(help_text="How many records that checkpoint covers.")
    done = models.BigIntegerField(default=0, help_text="Records in finished volumes.")
    bytes = models.BigIntegerField(default=0, help_text="Size of its finished volumes.")
    digest = models.CharField(max_length=64, blank=True, help_text="SHA-256 of archive.json.")

    class Meta:
        default_permissions = ("view",)
        ordering = ("-requested_at", "id")
        constraints = (
            models.UniqueConstraint(
                fields=("folder",), condition=models.Q(state="running"), name="audit_archive_one_a_folder"
            ),
        )
        indexes = (models.Index(fields=("first", "last"), name="audit_archive_range"),)

    def __str__(self) -> str:
        return f"archive {self.id}"

    @property
    def total(self) -> int:
        """How many records it holds once it is whole."""
        return self.last - self.first

    def last_check(self) -> "ArchiveCheck | None":
        """Return the check that says what the archive is: the last of the whole, or a later fault of a volume."""
        checks = self.checks.order_by("-id")
        whole = checks.filter(volume=None).first()
        later = checks.exclude(verdict="VERIFIED").filter(pk__gt=whole.pk if whole else 0).first()
        return later or whole

    @property
    def holds(self) -> bool:
        """Whether the whole archive was checked, and no fault was seen since."""
        check = self.last_check()
        return check is not None and check.is_whole and check.verdict == "VERIFIED"


class ArchiveVolume(models.Model):
    """A file of an archive: the evidence bundle of a part of its range."""

    archive = models.ForeignKey(Archive, on_delete=models.PROTECT, related_name="volumes")
    number = models.IntegerField()
    first = models.BigIntegerField()
    last = models.BigIntegerField()
    bytes = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    since = models.CharField(max_length=30, help_text="The first time of its events.")
    until = models.CharField(max_length=30, help_text="The last time of its events.")
    read_at = models.DateTimeField(null=True, help_text="When its records were read back, to search in them.")

    class Meta:
        default_permissions = ()
        ordering = ("number",)
        constraints = (models.UniqueConstraint(fields=("archive", "number"), name="audit_archivevolume_number"),)

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        return f"volume-{self.number:04}.zip"


class ArchiveCheck(models.Model):
    """A check of an archive against the log, of all of it or of a volume, and what it said."""

    MOST_NAMED = 100

    archive = models.ForeignKey(Archive, on_delete=models.PROTECT, related_name="checks")
    volume = models.IntegerField(null=True, help_text="The only volume that was checked (blank = all).")
    folder = models.TextField(help_text="Where the archive was looked for: a copy may lie elsewhere.")
    requested_by = models.CharField(max_length=150)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    verdict = models.CharField(max_length=20, choices=[(name, name) for name in Verification.VERDICTS])
    volumes = models.IntegerField(help_text="How many volumes were checked.")
    records = models.BigIntegerField(help_text="How many records of them were proved.")
    faults = models.JSONField(default=list, help_text="What is wrong, in words; the first hundred.")
    notes = models.JSONField(
        default=list, db_default=[], help_text="What the storage keeps of it: which files are locked, until when."
    )

    class Meta:
        default_permissions = ()
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"check {self.pk} of {self.archive_id}"

    @property
    def is_whole(self) -> bool:
        return self.volume is None


class ArchivedRecords(NotedAppendOnlyQuerySet["ArchivedRecord"]):
    """Copies of records, read from archives: within the scopes of whoever looks, and noted."""


class ArchivedRecordManager(models.Manager.from_queryset(ArchivedRecords)["ArchivedRecord"]):  # type: ignore[misc]
    """Gives the viewer only what they may see, whatever page or path asks."""

    def get_queryset(self) -> ArchivedRecords:
        rows = ArchivedRecords(self.model, using=self._db)
        scopes = visibility.scopes()
        return rows.filter(visible_to(scopes, "writer", "event_category")) if scopes else rows


class ArchivedRecord(EventColumns):
    """A copy of a record, read from an archive to search in it. See audit/sql/0066_archived_record.sql.

    It is no record: nothing is counted or proved by it. Of one id there is a copy for each archive that has it.
    """

    archive = models.ForeignKey(Archive, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+")
    leaf_index = models.BigIntegerField()

    objects = ArchivedRecordManager()

    class Meta:
        db_table = "audit_archived_record"
        default_permissions = ("view",)
        base_manager_name = "objects"
        ordering = ("-event_timestamp", "-id")

    @property
    def state(self) -> str:
        """What is in an archive was sealed."""
        return "sealed"


class RedactionRule(NamedRule):
    """What is redacted in bundles. Never deleted: its name stands in bundles, so it is switched off."""

    name = rule_name("bundles and records")
    path = models.CharField(
        max_length=500,
        help_text="A field such as actor_ip or event_data.user.email; * is any one name, ** any number of levels.",
    )
    event_type = models.CharField(
        max_length=100,
        blank=True,
        help_text="Only in events of this type (blank = all); gateway.* means all types that begin with gateway.",
    )
    method = models.CharField(
        max_length=10,
        choices=[(method, method) for method in get_args(redaction.Method)],
        help_text="remove: no value; digest: equal values of a bundle become the same code; mask: one letter is left.",
    )
    reason = models.TextField(max_length=1_000, help_text="The law or duty that requires it. It appears in the bundle.")

    @property
    def rule(self) -> Rule:
        return Rule(**{field: getattr(self, field) for field in Rule.__struct_fields__})

    def clean(self) -> None:
        try:
            redaction.check(self.rule)
        except Invalid as invalid:
            raise ValidationError(invalid.errors) from None


class Statement(Record):
    """Records of signed statements, as a page of their own."""

    class Meta:
        proxy = True
        default_permissions = ("view",)
        permissions = (("make_statement", "Can have statements signed"),)
        verbose_name = "signed statement"
