"""What the store keeps: records, and the writers that may send them."""

from typing import Any, ClassVar, NoReturn, TypeVar

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models

from audit import canonical, event
from audit.errors import Immutable

ModelT = TypeVar("ModelT", bound=models.Model)

OWN_WRITER = "auditsite"
"""The writer of the records that the store makes of its own acts."""


def default_scopes() -> list[str]:
    return ["write"]


class AppendOnlyQuerySet(models.QuerySet[ModelT]):
    """A QuerySet that reads. Only `audit.record` inserts, and nobody updates or deletes."""

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


class Record(models.Model):
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
    digest = models.BinaryField()
    received_at = models.DateTimeField()
    parked_at = models.DateTimeField(null=True)
    stored_at = models.DateTimeField()

    objects: ClassVar[models.Manager["Record"]] = models.Manager.from_queryset(AppendOnlyQuerySet["Record"])()

    class Meta:
        db_table = "audit_record"
        default_permissions = ("view",)
        base_manager_name = "objects"
        ordering = ("-event_timestamp", "-id")

    def __str__(self) -> str:
        return f"{self.event_type} {self.id}"

    def save(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise Immutable

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise Immutable

    @property
    def state(self) -> str:
        """The promise that holds for this record, in the words of the API."""
        return "stored"

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


class Writer(models.Model):
    """A service that may send events, or read them."""

    SCOPES = ("write", "read", "export", "hold")

    name = models.CharField(
        max_length=100,
        unique=True,
        validators=[RegexValidator(r"^[a-z0-9][a-z0-9._-]*\Z", "Use lower-case letters, digits, '.', '_' and '-'.")],
        help_text="Stands in every record of this writer, and cannot be changed.",
    )
    scopes = models.JSONField(default=default_scopes, help_text='Any of "write", "read", "export", "hold".')
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if not isinstance(self.scopes, list) or not set(self.scopes) <= set(self.SCOPES):
            raise ValidationError({"scopes": f"Scopes must be a list of any of {', '.join(self.SCOPES)}."})
        if self.name == OWN_WRITER:
            raise ValidationError({"name": f"{OWN_WRITER!r} is the store itself: choose another name."})


class WriterKey(models.Model):
    """One API key of a writer. Only its SHA-256 is kept; the key itself is shown once."""

    writer = models.ForeignKey(Writer, on_delete=models.PROTECT, related_name="keys")
    prefix = models.CharField(max_length=16, help_text="The first characters, to tell keys apart.")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"{self.prefix}…"


class Parked(models.Model):
    """A stand-in for the dead letter queue, so that the admin can list it. It has no table."""

    class Meta:
        managed = False
        default_permissions = ("view",)
        permissions = (("retry_parked", "Can retry parked events"),)
        verbose_name = "parked event"
        verbose_name_plural = "dead letter queue"

    def __str__(self) -> str:
        return f"parked event {self.pk}"
