"""Rules about events that must come, what is awaited under them, and what did not come."""

from datetime import date, datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from audit.errors import Invalid
from audit.formats import event, expectation
from audit.formats.expectation import ExpectationRule
from audit.models.base import Discrepancy, NamedRule, rule_name

# What a rule asks of events: a change of one of these makes it another version.
ASKS = ("kind", "when_types", "expect_types", "writer", "category", "within_s", "least")
CORRELATION = event.limit("correlation_id")


def no_types() -> list[str]:
    return []


class Expectation(NamedRule):
    """One rule. Never deleted: it is switched off, with a reason."""

    KINDS = (
        ("followed", "an event is followed by another, with the same correlation"),
        ("has", "each correlation has an event"),
        ("rate", "a writer sends so many events a day"),
    )
    FIELDS = ExpectationRule.__struct_fields__

    name = rule_name("records and alarms")
    kind = models.CharField(max_length=10, choices=KINDS)
    why = models.TextField(max_length=1_000, help_text="Why these events must arrive.")
    when_types = models.JSONField(default=no_types, blank=True)
    expect_types = models.JSONField(default=no_types)
    writer = models.CharField(max_length=100, blank=True)
    category = models.CharField(max_length=50, blank=True)
    within_s = models.PositiveIntegerField(null=True, blank=True)
    least = models.PositiveIntegerField(null=True, blank=True)
    pack = models.CharField(max_length=50, blank=True, editable=False)
    inactive_because = models.TextField(max_length=1_000, blank=True)
    version = models.PositiveIntegerField(default=1, editable=False)
    first_leaf = models.BigIntegerField(
        default=0, editable=False, help_text="The first log entry that the rule applies to."
    )
    next_day = models.DateField(null=True, editable=False, help_text="The first day that has not been judged yet.")
    met = models.BigIntegerField(default=0, editable=False, help_text="How often the rule was met.")

    @property
    def rule(self) -> ExpectationRule:
        return ExpectationRule(**{field: getattr(self, field) for field in self.FIELDS})

    @property
    def words(self) -> str:
        return expectation.words(self.rule)

    def clean(self) -> None:
        if not self.kind:
            return  # the field says so; what the rule needs depends on it
        try:
            expectation.read({field: getattr(self, field) for field in self.FIELDS})
        except Invalid as error:
            errors = {field if field in self.FIELDS else "__all__": text for field, text in error.errors.items()}
            raise ValidationError(errors) from None


class Awaited(models.Model):
    """An event that a rule expects and that has not come yet."""

    expectation = models.ForeignKey(Expectation, on_delete=models.PROTECT, related_name="awaited")
    subject = models.CharField(max_length=CORRELATION)
    key = models.CharField(max_length=40, help_text="Distinguishes it from others of the same rule and subject.")
    writer = models.CharField(max_length=100)
    began_by = models.UUIDField()
    since = models.DateTimeField()
    due_at = models.DateTimeField()
    ripe_at = models.DateTimeField(help_text="When it is due and can be judged.")

    class Meta:
        default_permissions = ()
        constraints = (models.UniqueConstraint(fields=("expectation", "subject", "key"), name="audit_awaited_one"),)
        indexes = (models.Index(fields=("ripe_at", "id"), name="audit_awaited_ripe"),)

    def __str__(self) -> str:
        return f"{self.expectation_id} of {self.subject}"


class Tally(models.Model):
    """The count of events of a day, for a rule that asks for a rate."""

    expectation = models.ForeignKey(Expectation, on_delete=models.PROTECT, related_name="tallies")
    day = models.DateField()
    came = models.BigIntegerField()

    class Meta:
        default_permissions = ()
        constraints = (models.UniqueConstraint(fields=("expectation", "day"), name="audit_tally_one"),)

    def __str__(self) -> str:
        return f"{self.came} on {self.day}"


class Waiver(models.Model):
    """Why a rule need not be met for a time: decided by a person, before or after."""

    expectation = models.ForeignKey(Expectation, on_delete=models.PROTECT, related_name="waivers")
    correlation = models.CharField(
        max_length=CORRELATION,
        blank=True,
        help_text="Only this correlation (blank = any); order-* means all that begin with order-.",
    )
    writer = models.CharField(max_length=100, blank=True, help_text="Only this writer (blank = any).")
    begins_at = models.DateTimeField(help_text="UTC")
    ends_at = models.DateTimeField(help_text="UTC")
    reason = models.TextField(max_length=1_000)
    by = models.CharField(max_length=150, editable=False)
    made_at = models.DateTimeField(editable=False)

    class Meta:
        default_permissions = ("view", "add")
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"waiver {self.pk} of {self.expectation}"

    def clean(self) -> None:
        errors = {}
        if self.begins_at and self.ends_at and self.ends_at <= self.begins_at:
            errors["ends_at"] = "It ends before it begins."
        if not self.reason.strip():
            errors["reason"] = "Say why these events need not come, and how that is known."
        if errors:
            raise ValidationError(errors)

    def covers(self, subject: str, writer: str, since: datetime, due_at: datetime) -> bool:
        """Whether it excuses something that was waited for from `since` to `due_at`."""
        begins = self.correlation.endswith("*") and subject.startswith(self.correlation[:-1])
        return (
            (self.correlation in ("", subject) or begins)
            and self.writer in ("", writer)
            and self.begins_at <= due_at
            and since < self.ends_at
        )


# A record names a hundred unmet expectations: each with this much of what was wanted.
WANTED_CHARACTERS = 1_000


class Unmet(Discrepancy):
    """An event that a rule expects, and that did not come in time."""

    NOUN = "expectation"

    expectation = models.ForeignKey(Expectation, on_delete=models.PROTECT, related_name="unmet")
    subject = models.CharField(max_length=CORRELATION, help_text="The correlation, or the writer.")
    key = models.CharField(max_length=40)
    writer = models.CharField(max_length=100)
    began_by = models.UUIDField(null=True, help_text="The record that started the wait.")
    since = models.DateTimeField()
    due_at = models.DateTimeField()
    wanted = models.TextField(help_text="What was expected, in words, by the rule of that time.")
    kind = models.CharField(max_length=10)
    expect_types = models.JSONField(default=no_types)
    least = models.PositiveIntegerField(null=True)
    came = models.BigIntegerField(default=0, help_text="How many arrived, for rules that count.")
    met_at = models.DateTimeField(null=True, help_text="The event time of the event that met it late.")
    met_by = models.UUIDField(null=True, help_text="The record that met it late.")
    waiver = models.ForeignKey(Waiver, on_delete=models.PROTECT, null=True, related_name="excused")

    class Meta:
        default_permissions = ("view",)
        ordering = ("-found_at", "-id")
        verbose_name = "unmet expectation"
        verbose_name_plural = "unmet expectations"
        constraints = (models.UniqueConstraint(fields=("expectation", "subject", "key"), name="audit_unmet_one"),)
        indexes = (
            models.Index(fields=("subject",), name="audit_unmet_subject"),
            models.Index(fields=("expectation",), name="audit_unmet_open", condition=models.Q(closed_at=None)),
        )

    def __str__(self) -> str:
        return f"{self.expectation.name} of {self.subject}" + (f" on {self.key}" if self.kind == "rate" else "")

    @property
    def day(self) -> date | None:
        return expectation.day_of(self.since) if self.kind == "rate" else None

    @property
    def late(self) -> bool:
        """Whether what came after all was also made too late."""
        return self.kind == "followed" and self.met_at is not None and self.met_at > self.due_at

    @property
    def closed_how(self) -> str:
        """How it closed, in words; "" while it is open."""
        if self.closed_at is None:
            return ""
        if self.met_at is None:
            return f"{self.came:,} came after all"
        times = f"came after all, made {self.met_at:%Y-%m-%d %H:%M:%S}Z"
        over = expectation.span_words(round((self.met_at - self.due_at).total_seconds()))
        return f"{times}: late by {over}" if self.late else f"{times}: in time, but it arrived late"

    def facts(self) -> dict[str, Any]:
        return {
            "expectation": self.expectation.name,
            "subject": self.subject,
            "writer": self.writer,
            "since": self.since.isoformat(),
            "due": self.due_at.isoformat(),
            "wanted": self.wanted if len(self.wanted) <= WANTED_CHARACTERS else f"{self.wanted[:WANTED_CHARACTERS]}…",
            "began_by": self.began_by and str(self.began_by),
            "came": self.came if self.kind == "rate" else None,
        }


class LateAnswer(models.Model):
    """Events that may close more findings of their correlation than a step of reconciling does: it is done later."""

    subject = models.CharField(max_length=CORRELATION)
    events = models.JSONField(help_text="Of each its time, id and type, in the order of time.")
    read_at = models.DateTimeField(help_text="When they were read from the log.")
    place = models.BigIntegerField(default=0, help_text="Findings up to this id have been looked at.")
    portions = models.PositiveIntegerField(default=0, help_text="How many portions have been.")

    class Meta:
        default_permissions = ()
        indexes = (
            models.Index(fields=("portions", "id"), name="audit_lateanswer_turn"),
            models.Index(fields=("subject",), name="audit_lateanswer_subject"),
        )

    def __str__(self) -> str:
        return f"{len(self.events)} events of {self.subject}"
