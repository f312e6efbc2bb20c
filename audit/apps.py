"""The app, and the admin site that it brings."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.contrib.admin.apps import SimpleAdminConfig
from django.core.checks import Tags, register
from django.db import connections
from django.db.models.signals import post_migrate


class AuditConfig(AppConfig):
    name = "audit"
    verbose_name = "Audit store"

    def ready(self) -> None:
        from audit import checks, visibility
        from audit.access import signals
        from audit.postgres.connecting.addresses import addresses

        register(checks.database, Tags.database)
        register(addresses, Tags.database)
        register(checks.seal_key, Tags.security)
        register(checks.seal_token, Tags.security, deploy=True)
        register(checks.receipt_key, Tags.security)
        register(checks.control_packs, Tags.security)
        register(checks.tokens, Tags.security)
        register(checks.traces, Tags.compatibility)
        register(checks.mappings, Tags.security)
        register(checks.outside_trust, Tags.security, deploy=True)
        register(checks.export_folder, Tags.security, deploy=True)
        register(checks.backups, Tags.database, deploy=True)
        visibility.watch()
        signals.connect()
        post_migrate.connect(_after_migrate, sender=self)


class AuditAdminConfig(SimpleAdminConfig):
    """The site loads its pages when they are first asked for: commands and ingest show none."""

    default_site = "audit.site.AuditAdminSite"


def _after_migrate(using: str, plan: Sequence[tuple[Any, bool]] = (), **kwargs: Any) -> None:
    """Bring rights, groups, schedules and rules and views to what the repository says; the same each time.

    On the way back to an older release they stay: that release brings its own.
    """
    if any(backwards for _, backwards in plan):
        return
    from audit import tasks
    from audit.access import roles
    from audit.expectations import packs
    from audit.operations import SQL
    from audit.search import saved_views

    with connections[using].cursor() as cursor:
        cursor.execute((SQL / "grants.sql").read_text(encoding="utf-8"))
    roles.groups(using)
    tasks.schedules(using)
    packs.seed(using)
    saved_views.seed(using)
