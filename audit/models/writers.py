"""The writers that may send events, or read records, and their keys."""

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models

from audit.models.records import OWN_WRITER


def default_scopes() -> list[str]:
    return ["write"]


def names(help_text: str) -> "ArrayField[Any, Any]":
    """A list of names, written with commas."""
    return ArrayField(
        models.CharField(max_length=100), default=list, blank=True, help_text=f"{help_text} Commas between."
    )


def quota(help_text: str) -> "models.BigIntegerField[Any, Any]":
    return models.BigIntegerField(null=True, blank=True, validators=[MinValueValidator(0)], help_text=help_text)


class Writer(models.Model):
    """A service that may send events, or read them."""

    SCOPES = ("write", "read", "export", "unredacted", "hold", "erase", "schema")

    name = models.CharField(
        max_length=100,
        unique=True,
        validators=[RegexValidator(r"^[a-z0-9][a-z0-9._-]*\Z", "Use lower-case letters, digits, '.', '_' and '-'.")],
        help_text="Appears in every record of this writer; cannot be changed later.",
    )
    scopes = models.JSONField(
        default=default_scopes, help_text='Any of "write", "read", "export", "unredacted", "hold", "erase", "schema".'
    )
    reads_writers = names("Limit read access to records of these writers (blank = all).")
    reads_categories = names("Limit read access to records of these categories (blank = all).")
    created_at = models.DateTimeField(auto_now_add=True)
    quota_events = quota("Events per UTC day (blank = no limit).")
    quota_bytes = quota("Bytes of requests with events, per UTC day (blank = no limit).")
    quota_epochs = quota("Different source_epoch values per UTC day (blank = no limit).")
    quota_manifests = quota("Manifests still waiting for some of their events (blank = no limit).")
    quota_exports = quota(
        "Evidence bundles requested per UTC day, including those of statements and reports (blank = no limit)."
    )

    is_lenient = models.BooleanField(
        "keep invalid events",
        default=False,
        db_default=False,
        help_text="Accept its invalid events and keep them in the dead letter queue for a person to correct, instead "
        "of rejecting them: for clients that drop rejected events and cannot send Prefer: handling=lenient.",
    )

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    @property
    def quotas(self) -> list[int | None]:
        """The quotas in the order of `audit.access.api_keys.Quotas`."""
        return [self.quota_events, self.quota_bytes, self.quota_epochs, self.quota_manifests, self.quota_exports]

    def clean(self) -> None:
        if not isinstance(self.scopes, list) or not all(scope in self.SCOPES for scope in self.scopes):
            raise ValidationError({"scopes": f"Scopes must be a list of any of {', '.join(self.SCOPES)}."})
        if self.name == OWN_WRITER:
            raise ValidationError({"name": f"{OWN_WRITER!r} is the store itself: choose another name."})


class WriterKey(models.Model):
    """One API key of a writer, or a subject whose tokens speak as it. Of a key only the SHA-256 is kept."""

    writer = models.ForeignKey(Writer, on_delete=models.PROTECT, related_name="keys")
    prefix = models.CharField(max_length=16, help_text="The first characters of the key, to tell keys apart.")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    entry_key = models.BinaryField(
        max_length=128,
        null=True,
        editable=False,
        help_text="The key that signs what its holder parks, encrypted with DLQ_ENTRY_KEY.",
    )
    subject = models.CharField(
        max_length=500,
        blank=True,
        default="",
        help_text="The subject of tokens of JWT_ISSUER, where the writer uses tokens instead of a key.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    used_at = models.DateTimeField(
        "last used", null=True, editable=False, help_text="When a request last used this key, to the minute."
    )

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return self.subject or f"{self.prefix}…"
