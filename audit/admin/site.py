"""The admin site."""

from django.contrib.admin import AdminSite


class AuditAdminSite(AdminSite):
    """Django's admin, opening on the state of the store."""
