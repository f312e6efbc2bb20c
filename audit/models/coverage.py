"""How many events of each writer happened in each hour: computed from the records, and computable again."""

from django.db import models


class HourCount(models.Model):
    """The events of one writer in one hour, by the time at which the writer says they happened."""

    writer = models.CharField(max_length=100)
    hour = models.DateTimeField(help_text="The beginning of the hour, UTC.")
    events = models.BigIntegerField(default=0)
    failures = models.BigIntegerField(default=0, help_text="Those with the outcome failure.")
    parked = models.BigIntegerField(default=0, help_text="Those that came by way of the dead letter queue.")

    class Meta:
        default_permissions = ("view",)
        verbose_name = "coverage"
        verbose_name_plural = "coverage"
        constraints = (models.UniqueConstraint(fields=("writer", "hour"), name="audit_hourcount_one"),)
        indexes = (models.Index(fields=("hour",), name="audit_hourcount_hour"),)

    def __str__(self) -> str:
        return f"{self.writer} {self.hour:%Y-%m-%d %H}h: {self.events}"
