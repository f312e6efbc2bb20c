"""Rules of erasure, and erasures: who asked for which and who decided."""

from collections.abc import Iterable
from typing import Any, ClassVar, Literal, NamedTuple
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models

from audit.errors import Invalid
from audit.formats.erasable import rules
from audit.formats.erasable.rules import Rule
from audit.models.base import AppendOnlyQuerySet, NamedRule, rule_name
from audit.postgres import sql

State = Literal["waiting", "refused", "approved", "done"]


class ErasureRule(NamedRule):
    """Which members are stored so that they can be erased. Never deleted: records name it, so it is switched off."""

    name = rule_name("records of its changes")
    path = models.CharField(
        max_length=500,
        help_text="actor_id, event_data.user.email, or event_data for all of it; * is any one name, ** any number.",
    )
    event_type = models.CharField(
        max_length=100,
        blank=True,
        help_text="Only in events of this type (blank = all); gateway.* means all types that begin with gateway.",
    )
    only_sensitive = models.BooleanField(default=False, help_text="Only in events that say is_sensitive.")
    reason = models.TextField(max_length=1_000, help_text="The law or duty that requires it.")

    @property
    def rule(self) -> Rule:
        return Rule(**{field: getattr(self, field) for field in Rule.__struct_fields__})

    def clean(self) -> None:
        try:
            rules.check(self.rule)
        except Invalid as invalid:
            raise ValidationError(invalid.errors) from None


class ErasureRequest(models.Model):
    """What is to be erased of which records, why, and who asked for it. It never changes."""

    asked_by = models.CharField("requested by", max_length=150)
    asked_at = models.DateTimeField("requested at")
    subject = models.TextField(help_text="The query or the ids that name the records.")
    records = ArrayField(models.UUIDField(), help_text="The records that the subject names at the request.")
    paths = ArrayField(models.CharField(max_length=500), help_text="The members (empty = all that can be erased).")
    basis = models.CharField(max_length=200, help_text="The legal basis, such as GDPR Art. 17(1)(b).")
    reason = models.TextField(max_length=2_000)

    objects: ClassVar[models.Manager["ErasureRequest"]] = models.Manager.from_queryset(
        AppendOnlyQuerySet["ErasureRequest"]
    )()

    class Meta:
        default_permissions = ("view",)
        permissions = (
            ("ask_erasure", "Can ask for an erasure"),
            ("decide_erasure", "Can approve or refuse an erasure that somebody else asked for"),
        )
        ordering = ("-id",)
        verbose_name = "erasure"

    def __str__(self) -> str:
        return f"erasure {self.pk}"

    @property
    def decided(self) -> "ErasureDecision | None":
        found: ErasureDecision | None = getattr(self, "decision", None)
        return found

    def state(self, progress: "Progress") -> State:
        """Waiting for a second person, refused, approved and under way, or done."""
        if self.decided is None:
            return "waiting"
        if not self.decided.approved:
            return "refused"
        return "done" if progress.done_at else "approved"


class ErasureDecision(models.Model):
    """The one decision on a request, by a second person: approved, or refused with its ground. It never changes."""

    request = models.OneToOneField(ErasureRequest, models.PROTECT, primary_key=True, related_name="decision")
    approved = models.BooleanField()
    decided_by = models.CharField(max_length=150)
    decided_at = models.DateTimeField()
    ground = models.TextField(blank=True, max_length=2_000, help_text="Of a refusal: such as Art. 17(3)(b).")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"decision on {self.request_id}"


class Progress(NamedTuple):
    """How far the execution of a request is."""

    place: int = 0
    erased: int = 0
    held: tuple[UUID, ...] = ()
    done_at: Any = None


def progress_of(requests: Iterable[int]) -> dict[int, Progress]:
    rows = sql.rows(
        "SELECT request_id, place, erased, held, done_at FROM audit_erasureprogress WHERE request_id = ANY(%s)",
        [list(requests)],
    )
    return {row[0]: Progress(row[1], row[2], tuple(row[3]), row[4]) for row in rows}
