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
    writers = names("Only records of these writers; empty: of all.")
    categories = names("Only records of these categories; empty: of all.")

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=models.Q(user=None) ^ models.Q(group=None),
                name="audit_scope_of_one",
                violation_error_message="Choose either a person or a group.",
            ),
        )
        verbose_name = "scope of auditors"
        verbose_name_plural = "scopes of auditors"

    def __str__(self) -> str:
        return f"scope of {self.user or self.group}"

    def clean(self) -> None:
        if not self.writers and not self.categories:
            raise ValidationError("Name a writer or a category: without either, everything would be open.")

    @property
    def scope(self) -> Scope:
        """The writers and categories that it covers."""
        return Scope(tuple(self.writers), tuple(self.categories))


class Access(Record):
    """Access records, who viewed what, as a page of their own."""

    class Meta:
        proxy = True
        default_permissions = ("view",)
        verbose_name = "look"
        verbose_name_plural = "who looked"
