"""The app: it reads its settings, and begins to listen to the models that are audited."""

from django.apps import AppConfig


class AuditClientConfig(AppConfig):
    name = "auditclient.django"
    label = "auditclient"

    def ready(self) -> None:
        """Check the settings, and listen to every audited model. Raises `ConfigError`."""
        from auditclient.django import models_watch

        models_watch.watch()
