"""A Django app that audits models: an entry in INSTALLED_APPS, the middleware, and AUDITCLIENT in the settings."""

from auditclient.django.recording import client, record

__all__ = ["client", "record"]
