"""Evidence bundles and their progress, redaction rules, legal holds, signed statements."""

import uuid
from datetime import datetime, timedelta
from typing import Any, get_args

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

from audit.errors import Invalid
from audit.formats import redaction
from audit.formats.redaction import Rule
from audit.models.records import Record

STATEMENT = "audit.statement.made"


class Export(models.Model):
    """One evidence bundle. A bundle that was made is also recorded, with its digest."""

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
    sample = models.IntegerField(null=True, help_text="How many are drawn of those asked for; empty: all are taken.")
    seed = models.CharField(max_length=100, blank=True, help_text="What the sample is drawn with.")
    population = models.BigIntegerField(null=True, help_text="Of how many the sample is drawn.")
    redaction = models.JSONField(
        default=list, help_text="The rules that held at the request; empty: nothing is redacted."
    )
    unredacted = models.BooleanField(default=False, help_text="Whether it was asked for without redaction.")
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
    def name(self) -> str:
        """The name of its zip."""
        return f"evidence-{self.id}.zip"

    def range_facts(self) -> dict[str, Any]:
        """The facts of a range in records; {} for a query."""
        facts = {"first": self.first, "last": self.last, "received": self.received}
        return facts if self.kind == "range" else {}

    def while_under_way(self) -> models.QuerySet["Export"]:
        """This row unless it has ended: an update through it changes nothing that somebody has cancelled."""
        return Export.objects.filter(pk=self.pk, state__in=self.UNDER_WAY)

    @staticmethod
    def expiry(now: datetime) -> datetime:
        """Until when a bundle that ends now is kept."""
        return now + timedelta(days=settings.EXPORT_DAYS)


class RedactionRule(models.Model):
    """A redaction of bundles. Never deleted, since bundles name it: it is switched off."""

    name = models.CharField(
        max_length=50,
        unique=True,
        validators=[RegexValidator(r"^[a-z0-9][a-z0-9-]*\Z", "Use lower-case letters, digits and '-'.")],
        help_text="Stands in bundles and records, and cannot be changed.",
    )
    path = models.CharField(
        max_length=500,
        help_text="actor_ip, or event_data.user.email; * is any one member, ** any number of levels.",
    )
    event_type = models.CharField(
        max_length=100, blank=True, help_text="Only in events of this type; gateway.* is all that begins so."
    )
    method = models.CharField(
        max_length=10,
        choices=[(method, method) for method in get_args(redaction.Method)],
        help_text="remove leaves nothing; digest the same for equal values of a bundle; mask a letter.",
    )
    reason = models.TextField(max_length=1_000, help_text="The duty or law that asks for it: it stands in the bundle.")
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        default_permissions = ("view", "add", "change")
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    @property
    def rule(self) -> Rule:
        """As the pure module knows it."""
        return Rule(**{field: getattr(self, field) for field in Rule.__struct_fields__})

    def clean(self) -> None:
        try:
            redaction.check(self.rule)
        except Invalid as invalid:
            raise ValidationError(invalid.errors) from None


class LegalHold(models.Model):
    """One hold on all records of a correlation, those that are still to come too. Placing and releasing are records."""

    correlation_id = models.CharField(max_length=255)
    reason = models.TextField()
    placed_by = models.CharField(max_length=150)
    placed_at = models.DateTimeField()
    released_by = models.CharField(max_length=150, blank=True)
    released_at = models.DateTimeField(null=True)
    release_reason = models.TextField(blank=True)

    class Meta:
        default_permissions = ("view",)
        permissions = (("place_legalhold", "Can place and release legal holds"),)
        ordering = ("-placed_at", "-id")
        constraints = (
            models.UniqueConstraint(
                fields=("correlation_id",), condition=Q(released_at=None), name="audit_hold_one_at_a_time"
            ),
        )
        indexes = (models.Index(fields=("correlation_id", "placed_at"), name="audit_hold_correlation"),)

    def __str__(self) -> str:
        return f"hold on {self.correlation_id}"


class Statement(Record):
    """Records of signed statements, as a page of their own."""

    class Meta:
        proxy = True
        default_permissions = ("view",)
        permissions = (("make_statement", "Can have statements signed"),)
        verbose_name = "signed statement"
