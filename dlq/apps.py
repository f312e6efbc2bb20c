"""The Django app of the queue."""

from django.apps import AppConfig
from django.core.checks import Tags, register


class DlqConfig(AppConfig):
    """A small durable parking place for JSON documents."""

    name = "dlq"
    verbose_name = "Dead letter queue"

    def ready(self) -> None:
        from dlq import checks

        register(checks.durability, Tags.database)
