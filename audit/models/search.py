"""Saved views: queries with a name."""

from django.contrib.auth.models import Group
from django.db import models


class SavedView(models.Model):
    """A query with a name, for one person, for a group, or, seeded from a pack of controls, for everyone."""

    name = models.CharField(max_length=100)
    query = models.CharField(max_length=2_000, help_text="The query, as typed in the search.")
    why = models.CharField(max_length=300, blank=True, help_text="What the search is for.")
    owner = models.CharField(
        max_length=150, blank=True, help_text="The owner (blank if it came with a set of controls)."
    )
    group = models.ForeignKey(Group, null=True, blank=True, on_delete=models.SET_NULL)
    pack = models.CharField(max_length=50, blank=True)
    saved_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        ordering = ("pack", "name")
        constraints = (models.UniqueConstraint(fields=("owner", "pack", "name"), name="audit_savedview_one"),)

    def __str__(self) -> str:
        return self.name
