"""JSON Schemas of event types: each revision is a row, and the newest one holds."""

from typing import ClassVar

from django.core.validators import RegexValidator
from django.db import models

from audit.formats.event import DOTTED
from audit.models import base
from audit.models.base import AppendOnly, AppendOnlyQuerySet


class EventSchema(AppendOnly):
    """One revision of the schema of an event type. The newest of a type and version holds."""

    MODES = ("refuse", "warn", "off")

    id = models.BigAutoField(primary_key=True)
    event_type = base.text("event_type", validators=[RegexValidator(DOTTED, "Use dotted lower-case words.")])
    event_version = base.text(
        "version", blank=True, help_text="Only events with this version (blank = those without a schema of their own)."
    )
    revision = models.IntegerField()
    document = models.JSONField(help_text="JSON Schema 2020-12 of event_data.")
    mode = models.CharField(
        max_length=10,
        choices=[(mode, mode) for mode in MODES],
        help_text="refuse: what does not fit is answered 400; warn: it is stored and counted; off: nothing is checked.",
    )
    reason = models.CharField(max_length=1_000, help_text="Why it is registered, or changed.")
    made_by = models.CharField(max_length=150)
    made_at = models.DateTimeField()

    objects: ClassVar[models.Manager["EventSchema"]] = models.Manager.from_queryset(AppendOnlyQuerySet["EventSchema"])()

    class Meta:
        db_table = "audit_eventschema"
        # A list counts them by it: a schema has several.
        verbose_name = "schema revision"
        default_permissions = ("view", "add")
        base_manager_name = "objects"
        ordering = ("event_type", "event_version", "-revision")
        constraints = (
            models.UniqueConstraint(fields=("event_type", "event_version", "revision"), name="audit_eventschema_one"),
        )

    def __str__(self) -> str:
        return f"{self.name}, revision {self.revision}"

    @property
    def name(self) -> str:
        """The type, and the version where it is for one alone."""
        return f"{self.event_type} {self.event_version}".strip()
