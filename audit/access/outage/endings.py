"""What makes copies of sessions void, by signals: so no way to end a session or to take a right can forget it."""

from functools import partial
from typing import Any

from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models.signals import m2m_changed, post_delete, post_save
from django.utils import timezone

from audit.access.outage import session_copies
from audit.models import AuditorScope


def connect() -> None:
    """Connect the receivers; called once when the app is ready."""
    post_delete.connect(_session_ended, sender=Session, dispatch_uid="audit.session_ended")
    for signal in (post_save, post_delete):
        signal.connect(_person_changed, sender=User, dispatch_uid="audit.person_changed")
        signal.connect(_scope_changed, sender=AuditorScope, dispatch_uid="audit.scope_changed")
    for through in (User.groups.through, User.user_permissions.through):
        m2m_changed.connect(_person_got_or_lost, sender=through, dispatch_uid=f"audit.{through.__name__}")
    m2m_changed.connect(_group_changed, sender=Group.permissions.through, dispatch_uid="audit.group_permissions")
    post_delete.connect(_group_changed, sender=Group, dispatch_uid="audit.group_deleted")


def factor_removed(instance: Any, using: str, **details: Any) -> None:
    """A second factor is gone: whether it was demanded says the next copy."""
    _void(using, instance.user_id)


def _session_ended(instance: Session, using: str, **details: Any) -> None:
    if instance.expire_date > timezone.now():
        transaction.on_commit(partial(session_copies.end, instance.session_key), using=using)


def _person_changed(instance: User, using: str, update_fields: Any = None, **details: Any) -> None:
    if set(update_fields or ()) != {"last_login"}:  # as each login notes it
        _void(using, instance.pk)


def _scope_changed(instance: AuditorScope, using: str, **details: Any) -> None:
    _void(using, instance.user_id)


def _person_got_or_lost(instance: Any, action: str, reverse: bool, using: str, **details: Any) -> None:
    if action.startswith("post_"):
        _void(using, None if reverse else instance.pk)


def _group_changed(using: str, action: str = "post_", **details: Any) -> None:
    if action.startswith("post_"):
        _void(using, None)


def _void(using: str, person: int | None) -> None:
    """Void the copies of a person, or of everybody, once the change is there to be read."""
    whose = session_copies.EVERYBODY if person is None else str(person)
    transaction.on_commit(partial(session_copies.void, whose), using=using)
