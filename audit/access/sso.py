"""Logins through django-allauth: what it may do here, each act recorded."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa import signals
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from audit.access import client, logins, names
from audit.ingest import trail


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Nobody creates their own account."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Do nothing: allauth would lock a name for everybody; `lockout` does it by name and address."""

    def get_client_ip(self, request: HttpRequest) -> str:
        """Use the same address as everywhere else; allauth would see one address behind a proxy."""
        return client.address(request) or "local"


class ProviderAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]
    """People that the provider knows come in, and may do nothing until an administrator gives them a group."""

    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        return True

    def save_user(self, request: HttpRequest, sociallogin: Any, form: Any = None) -> Any:
        """Create the account, recorded first. It is staff, so that a group is enough to open the admin to it."""
        user = sociallogin.user
        user.is_staff, user.is_superuser = True, False
        AccountAdapter(request).populate_username(request, user)
        if names.is_reserved(user.get_username()):
            raise PermissionDenied("This name is the store's own: the provider has to give another one.")
        name, provider = user.get_username(), sociallogin.account.provider
        facts = {"name": name, "provider": provider, "subject": sociallogin.account.uid, "groups": []}
        trail.add("audit.person.created", actor=name, correlation=f"person-{name}", **facts)
        return super().save_user(request, sociallogin, form)


ACTS = {
    "second_factor_added": signals.authenticator_added,
    "second_factor_removed": signals.authenticator_removed,
    "second_factor_reset": signals.authenticator_reset,
    "second_factor_refused": signals.authentication_failed,
    "second_factor_used": signals.authenticator_used,
}


def receiver(act: str) -> Any:
    """Return a receiver that records what allauth does with second factors as `act`."""
    outcome = "failure" if act.endswith("refused") else "success"

    def note(request: HttpRequest, user: Any, authenticator: Any = None, **details: Any) -> None:
        kind = str(getattr(authenticator, "type", "")) or None
        key = str(authenticator) if kind == "webauthn" else None
        alone = details.get("passwordless")
        logins.note(act, user.get_username(), request, outcome=outcome, kind=kind, key=key, without_password=alone)

    return note
