"""Send reads of records to the reader role."""

from typing import Any

from django.db.models import Model

READ_ONLY = {"audit.Record", "audit.Access", "audit.Leaf", "audit.Checkpoint", "audit.Quarantined"}


class ReaderRouter:
    """Records and their log are read through the reader role, whose statements are cut off after a few seconds.

    All else stays with the application role; nothing here is ever migrated by any but the owner.
    """

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        return "reader" if model._meta.label in READ_ONLY else None

    def allow_relation(self, first: Model, second: Model, **hints: Any) -> bool:
        return True  # the three connections are one database

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return db == "owner"
