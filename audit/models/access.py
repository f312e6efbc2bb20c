"""Which part of the store a person or a group may see."""

from django.conf import settings
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import models

from audit.models.records import Record
from audit.models.writers import names
from audit.visibility import Scope

# The category of access records: an index of its own answers them in the order of time.
ACCESS = "access"


class AuditorScope(models.Model):
    """Which records a person, or each person of a group, may see. Who has several may see what any of them covers."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="auditor_scope"
    )
    group = models.OneToOneField(Group, on_delete=models.PROTECT, null=True, blank=True, related_name="auditor_scope")
    writers = names("Limit to records of these writers (blank = all).")
    categories = names("Limit to records of these categories (blank = all).")

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=models.Q(user=None) ^ models.Q(group=None),
                name="audit_scope_of_one",
                violation_error_message="Choose either a person or a group.",
            ),
        )
        verbose_name = "record access rule"
        verbose_name_plural = "record access rules"

    def __str__(self) -> str:
        return f"scope of {self.user or self.group}"

    def clean(self) -> None:
        if not self.writers and not self.categories:
            raise ValidationError("Name a writer or a category: without either, everything would be open.")

    @property
    def scope(self) -> Scope:
        """The writers and categories that it covers."""
        return Scope(tuple(self.writers), tuple(self.categories))


class RightsRequest(models.Model):
    """Rights that one person asked for, for a writer or a person, and what another one decided."""

    KINDS = (("writer", "writer"), ("person", "person"))

    kind = models.CharField(max_length=10, choices=KINDS)
    subject = models.CharField(max_length=150, help_text="The writer or person who would get the rights.")
    asked = models.JSONField(help_text="`groups` of a person; `scopes` and what they may read of a writer.")
    asked_by = models.CharField("requested by", max_length=150)
    asked_at = models.DateTimeField("requested at")
    decision = models.CharField(max_length=10, blank=True, choices=[(name, name) for name in ("granted", "declined")])
    decided_by = models.CharField(max_length=150, blank=True)
    decided_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ("view",)
        permissions = (("approve_rights", "Can grant rights that another person asked for"),)
        ordering = ("-id",)
        verbose_name = "request for rights"
        verbose_name_plural = "requests for rights"

    def __str__(self) -> str:
        return f"rights of {self.kind} {self.subject}"

    @property
    def words(self) -> str:
        if self.kind == "person":
            return f"membership of {', '.join(self.asked['groups'])}"
        scopes = ", ".join(self.asked["scopes"]) or "no further scope"
        names = ", ".join(self.asked["reads_writers"]) or "every writer"
        categories = ", ".join(self.asked["reads_categories"]) or "every category"
        return f"{scopes}; reading records of {names}, in {categories}"


class Access(Record):
    """Access records, who viewed what, as a page of their own."""

    class Meta:
        proxy = True
        default_permissions = ("view",)
        verbose_name = "look"
        verbose_name_plural = "looks"
