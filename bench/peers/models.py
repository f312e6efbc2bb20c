"""The event as a model, with the columns of ours, once for each peer."""

import uuid

import pghistory
from auditlog.registry import auditlog
from django.db import models
from simple_history.models import HistoricalRecords


class Event(models.Model):
    """What all have: as one would write it, with an index for each of the three usual questions."""

    event_id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    version = models.CharField(max_length=20)
    event_type = models.CharField(max_length=100, db_index=True)
    event_timestamp = models.DateTimeField(db_index=True)
    event_category = models.CharField(max_length=50)
    event_action = models.CharField(max_length=50)
    event_outcome = models.CharField(max_length=10)
    correlation_id = models.CharField(max_length=255, db_index=True)
    event_data = models.JSONField()
    actor_type = models.CharField(max_length=50, default="service")
    actor_id = models.CharField(max_length=255, default="")
    actor_ip = models.CharField(max_length=45, default="", blank=True)
    resource_type = models.CharField(max_length=100, default="")
    resource_id = models.CharField(max_length=255, default="")
    parent_event_id = models.UUIDField(null=True)
    namespace = models.CharField(max_length=253, default="", blank=True)
    cluster_id = models.CharField(max_length=255, default="", blank=True)
    severity = models.CharField(max_length=20, default="info")
    duration_ms = models.IntegerField(null=True)
    error_code = models.CharField(max_length=50, default="", blank=True)
    error_message = models.TextField(default="", blank=True)
    is_sensitive = models.BooleanField(default=False)

    class Meta:
        abstract = True


class Naive(Event):
    """A row and nothing else."""


class Logged(Event):
    """A row, and django-auditlog's entry about it."""


class Historied(Event):
    """A row, and django-simple-history's copy of it."""

    history = HistoricalRecords()


@pghistory.track(pghistory.InsertEvent(), pghistory.UpdateEvent())
class Tracked(Event):
    """A row, and django-pghistory's copy of it, made by a trigger."""


class Chained(Event):
    """A row that holds the hash of the one before it of the same correlation, written under a lock."""

    n = models.BigIntegerField(unique=True)
    previous = models.BinaryField()
    hash = models.BinaryField()

    class Meta:
        indexes = [models.Index(fields=["correlation_id", "-n"], name="peers_chained_last")]


auditlog.register(Logged)
