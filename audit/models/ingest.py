"""The outbox: alarms that wait until somebody heard them."""

from django.db import models


class OutboxAlarm(models.Model):
    """One alarm, kept in the transaction of what it tells, until every configured way took it."""

    alarm = models.CharField(max_length=100)
    text = models.TextField()
    figures = models.JSONField(default=dict)
    made_at = models.DateTimeField(auto_now_add=True)
    taken_by = models.JSONField(default=list, help_text="The ways (e-mail, webhook) that already delivered it.")
    tried_at = models.DateTimeField(null=True)
    heard_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        indexes = (models.Index(fields=("id",), name="audit_outbox_unheard", condition=models.Q(heard_at=None)),)

    def __str__(self) -> str:
        return f"{self.alarm}: {self.text}"
