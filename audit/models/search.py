"""Saved searches: queries with a name, and the alarms on them."""

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
    pinned = models.BooleanField(db_default=False, help_text="It stands first in the owner's list.")
    saved_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        ordering = ("pack", "name")
        constraints = (models.UniqueConstraint(fields=("owner", "pack", "name"), name="audit_savedview_one"),)

    def __str__(self) -> str:
        return self.name


class SearchAlarm(models.Model):
    """The alarm on a saved search, while it is on: how far it has looked, and what it last told."""

    # Records that the next step looks at; a step that takes too long is tried again with fewer.
    MOST, LEAST = 5_000, 50

    view = models.OneToOneField(SavedView, on_delete=models.CASCADE, related_name="alarm")
    position = models.BigIntegerField(help_text="The log entry that it looks at next.")
    batch = models.PositiveIntegerField(default=MOST, help_text="How many log entries the next step looks at.")
    turn_at = models.DateTimeField(null=True, help_text="When it last had its turn.")
    due_at = models.DateTimeField(help_text="It has no turn before this time.")
    looked_until = models.DateTimeField(null=True, help_text="Everything sealed before this time has been looked at.")
    told_at = models.DateTimeField(null=True, help_text="When the last alarm was sent.")
    told_records = models.BigIntegerField(default=0, help_text="How many records the last alarm was about.")
    told_first = models.DateTimeField(null=True, help_text="When the first of them happened.")
    told_last = models.DateTimeField(null=True, help_text="When the last of them happened.")
    problem = models.CharField(max_length=300, blank=True, help_text="Why it does not look at present.")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"alarm on {self.view_id}"
