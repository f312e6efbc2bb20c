"""Who came in, who went, and who was not let in: each is a record."""

from typing import Any

import structlog
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.http import HttpRequest

from audit.access import client, lockout
from audit.errors import AuditError
from audit.ingest import trail

log = structlog.get_logger(__name__)
NAME_CHARACTERS = 150


def watch() -> None:
    """Listen to Django's own signals."""
    user_logged_in.connect(_logged_in, dispatch_uid="audit.logged_in")
    user_logged_out.connect(_logged_out, dispatch_uid="audit.logged_out")
    user_login_failed.connect(_refused, dispatch_uid="audit.login_failed")


def note(act: str, name: str, request: HttpRequest | None, *, outcome: str = "success", **facts: Any) -> None:
    """Record it if that is possible; nobody gets in by it, so it is no reason to fail."""
    name = client.text(name, NAME_CHARACTERS) or "nobody"
    try:
        trail.add(
            f"audit.person.{act}",
            _where(request),
            actor=name,
            outcome=outcome,
            correlation=f"person-{name}",
            **facts,
        )
    except AuditError as error:
        log.error("login_not_recorded", act=act, error=type(error).__name__)


def _logged_in(user: Any, request: HttpRequest | None = None, **details: Any) -> None:
    """Raises `NothingKept`: nobody comes in unseen."""
    name = user.get_username()
    session = (client.session(request) or None) if request is not None else None
    trail.add(lockout.LOGGED_IN, _where(request), actor=name, correlation=f"person-{name}", session=session)


def _logged_out(user: Any, request: HttpRequest | None = None, **details: Any) -> None:
    if user is not None:
        note("logged_out", user.get_username(), request)


def _refused(credentials: dict[str, Any], request: HttpRequest | None = None, **details: Any) -> None:
    locked = getattr(request, lockout.LOCKED, False)
    note(
        "login_locked" if locked else "login_refused", str(credentials.get("username", "")), request, outcome="failure"
    )


def _where(request: HttpRequest | None) -> trail.Where:
    """The address is the resource, so that the index of resources finds what came from it."""
    address = client.address(request)
    return trail.Where(resource=("address", address) if address else ("security", ""), address=address)
