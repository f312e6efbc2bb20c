"""An order of a shop, once for each way of auditing it."""

import pghistory
from auditlog.registry import auditlog
from django.db import models
from simple_history.models import HistoricalRecords


class Order(models.Model):
    """What all have in common."""

    customer = models.CharField(max_length=100)
    state = models.CharField(max_length=20)
    total = models.DecimalField(max_digits=12, decimal_places=2)
    note = models.TextField(blank=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True


class Plain(Order):
    """An order that nobody audits."""


class PlainAgain(Order):
    """The same, in a table of its own."""


class Recorded(Order):
    """An order whose changes `auditclient.django` records."""


class Logged(Order):
    """An order with django-auditlog's entries."""


class Historied(Order):
    """An order with django-simple-history's copies."""

    history = HistoricalRecords()


@pghistory.track(pghistory.InsertEvent(), pghistory.UpdateEvent())
class Tracked(Order):
    """An order with django-pghistory's copies, made by a trigger."""


@pghistory.track(pghistory.InsertEvent(), pghistory.UpdateEvent())
class TrackedAlone(Order):
    """The same, of nobody: its requests say not who acts."""


auditlog.register(Logged)
