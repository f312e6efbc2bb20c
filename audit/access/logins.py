"""Record every login, logout and refused login."""

from typing import Any

import structlog
from django.http import HttpRequest

from audit.access import client, lockout
from audit.errors import AuditError
from audit.ingest import trail

log = structlog.get_logger(__name__)
NAME_CHARACTERS = 150


def note(act: str, name: str, request: HttpRequest | None, *, outcome: str = "success", **facts: Any) -> None:
    """Record an act if that is possible. It lets nobody in, so a failure to record is only logged."""
    name = client.text(name, NAME_CHARACTERS) or "nobody"
    try:
        trail.add(
            f"audit.person.{act}", _where(request), actor=name, outcome=outcome, correlation=f"person-{name}", **facts
        )
    except AuditError as error:
        log.error("login_not_recorded", act=act, error=type(error).__name__)


def logged_in(user: Any, request: HttpRequest | None = None, **details: Any) -> None:
    """Record a login. Raises `NothingKept`: nobody comes in unrecorded."""
    name = user.get_username()
    session = (client.session(request) or None) if request is not None else None
    trail.add(lockout.LOGGED_IN, _where(request), actor=name, correlation=f"person-{name}", session=session)


def logged_out(user: Any, request: HttpRequest | None = None, **details: Any) -> None:
    if user is not None:
        note("logged_out", user.get_username(), request)


def refused(credentials: dict[str, Any], request: HttpRequest | None = None, **details: Any) -> None:
    locked = getattr(request, lockout.LOCKED, False)
    if getattr(request, lockout.UNCOUNTED, False):
        log.warning("login_over_budget", network=client.network(request))  # a flood must not fill the store
        return
    note(
        "login_locked" if locked else "login_refused", str(credentials.get("username", "")), request, outcome="failure"
    )


def _where(request: HttpRequest | None) -> trail.Where:
    """Make the network the resource, so that the index of resources finds what came from it."""
    network = client.network(request)
    resource = ("address", network) if network else ("security", "")
    return trail.Where(resource=resource, address=client.address(request))
