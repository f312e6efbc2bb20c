"""Who came in, who went, and who was not let in: each is a record."""

from typing import Any

import structlog
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed

from audit import trail
from audit.errors import AuditError

log = structlog.get_logger(__name__)
NAME_CHARACTERS = 150


def watch() -> None:
    """Listen to Django's own signals."""
    user_logged_in.connect(_logged_in, dispatch_uid="audit.logged_in")
    user_logged_out.connect(_logged_out, dispatch_uid="audit.logged_out")
    user_login_failed.connect(_refused, dispatch_uid="audit.login_failed")


def _logged_in(user: Any, **details: Any) -> None:
    """Raises `NothingKept`: nobody comes in unseen."""
    trail.add("audit.person.logged_in", actor=user.get_username(), correlation=f"person-{user.get_username()}")


def _logged_out(user: Any, **details: Any) -> None:
    if user is not None:
        _try("audit.person.logged_out", user.get_username(), "success")


def _refused(credentials: dict[str, Any], **details: Any) -> None:
    _try("audit.person.login_refused", str(credentials.get("username", ""))[:NAME_CHARACTERS], "failure")


def _try(event_type: str, name: str, outcome: str) -> None:
    name = name.replace("\x00", "\ufffd") or "nobody"
    try:
        trail.add(event_type, actor=name, outcome=outcome, correlation=f"person-{name}")
    except AuditError as error:
        log.error("login_not_recorded", event_type=event_type, error=type(error).__name__)
