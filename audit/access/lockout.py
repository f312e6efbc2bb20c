"""Lock logins after too many wrong passwords.

Failures are counted in the records, so there is no other counter that could be cleared. What is locked is a name at a
network (an IPv4 address, or the /64 of an IPv6 one), or a network, never a name alone: otherwise anybody could lock an
administrator out. A network that keeps trying spends a budget first, which costs neither a query nor a hash.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.admin.forms import AdminAuthenticationForm
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest

from audit import visibility
from audit.access import client
from audit.access.budget import Budget
from audit.models import OWN_WRITER, Record

LOGGED_IN, REFUSED = "audit.person.logged_in", "audit.person.login_refused"
LOCKED = "locked_out"  # the mark on a request that was refused for this
UNCOUNTED = "over_budget"  # the mark on one that was refused without a look at the records, and leaves none
# A network's failures with all names together may be this many times those of one: people share addresses.
NAMES_AN_ADDRESS = 10
# A burst of logins from a network is looked at, then one in two seconds.
attempts = Budget(burst=60, per_second=0.5)


class LockoutBackend:
    """Stands before the other backends and refuses whoever has to wait. It never logs anybody in."""

    def authenticate(self, request: HttpRequest | None, username: str | None = None, **credentials: Any) -> None:
        if request is None or not username:
            return
        network = client.network(request)
        over_budget = bool(network) and not attempts.spend(network)
        if over_budget or is_locked(username, network):
            setattr(request, LOCKED, True)
            setattr(request, UNCOUNTED, over_budget)
            raise PermissionDenied("Too many wrong passwords: wait.")


def is_locked(name: str, network: str) -> bool:
    """Return whether this name at this network, or the network, has used up its tries."""
    name = client.text(name, 150)
    since = datetime.now(UTC) - timedelta(minutes=settings.LOGIN_LOCK_MINUTES)
    with visibility.as_system():
        recent = Record.objects.filter(writer=OWN_WRITER, event_timestamp__gt=since)
        of_name = recent.filter(actor_id=name, resource_id=network) if network else recent.filter(actor_id=name)
        if (last := of_name.filter(event_type=LOGGED_IN).first()) is not None:
            of_name = of_name.filter(event_timestamp__gt=last.event_timestamp)
        refused = of_name.filter(event_type=REFUSED) if network else of_name.filter(event_type=REFUSED, actor_ip=None)
        if refused[: settings.LOGIN_TRIES].count() >= settings.LOGIN_TRIES:
            return True
        network_tries = settings.LOGIN_TRIES * NAMES_AN_ADDRESS
        from_there = recent.filter(resource_id=network, event_type=REFUSED)
        return bool(network) and from_there[:network_tries].count() >= network_tries


class LoginForm(AdminAuthenticationForm):
    """Answers alike for names that exist and names that do not."""

    def get_invalid_login_error(self) -> ValidationError:
        if getattr(self.request, LOCKED, False):
            return ValidationError(
                f"Too many wrong passwords from here: wait {settings.LOGIN_LOCK_MINUTES} minutes, then try again, "
                "or ask an administrator for a new password.",
                code="locked",
            )
        return ValidationError(
            "This name and this password do not belong together. Both are case-sensitive.", code="invalid_login"
        )

    def confirm_login_allowed(self, user: Any) -> None:
        """Tell whoever knows the password what lacks. Raises `ValidationError`."""
        if user.is_active and not user.is_staff:
            text = "Your account does not open these pages yet: ask an administrator for a role and for “staff status”."
            raise ValidationError(text, code="no_rights")
        super().confirm_login_allowed(user)
