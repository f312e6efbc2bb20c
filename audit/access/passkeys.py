"""Security keys and passkeys through django-allauth: their names, and records of refusals."""

from typing import Any

from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.webauthn import forms as theirs
from django import forms
from django.conf import settings

from audit.access import client, logins

NAME_CHARACTERS = 64
KIND = "webauthn"
# What the library lets through of an answer that no browser would send.
MALFORMED = (AttributeError, KeyError, TypeError, ValueError)


class FactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """The names under which browsers and authenticators show the site and its keys."""

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        entity: dict[str, str] = super().get_public_key_credential_rp_entity()
        return entity | {"name": settings.SITE_NAME}

    def generate_authenticator_name(self, user: Any, type: Any) -> str:
        return f"Key {user.authenticator_set.filter(type=type).count() + 1}"


class AddForm(theirs.AddWebAuthnForm):  # type: ignore[misc]
    """Adds a key. What the browser sends as a key may be anything."""

    name = forms.CharField(required=False, max_length=NAME_CHARACTERS)

    def clean(self) -> Any:
        try:
            return super().clean()
        except MALFORMED as error:
            raise forms.ValidationError("This is no key: it did not come from this page. Add it again.") from error


class EditForm(theirs.EditWebAuthnForm):  # type: ignore[misc]
    """Renames a key, and records that: later records use the new name."""

    name = forms.CharField(max_length=NAME_CHARACTERS)

    def save(self) -> Any:
        key, name = self.instance.wrap().name, self.cleaned_data["name"]
        user = self.instance.user.get_username()
        logins.note("second_factor_renamed", user, context.request, kind=KIND, key=key, new=name)
        return super().save()


class _Answer:
    """A key's answer to a challenge. A wrong one is recorded, as a wrong code is."""

    user: Any
    cleaned_data: dict[str, Any]

    def clean_credential(self) -> Any:
        try:
            return super().clean_credential()  # type: ignore[misc]
        except forms.ValidationError:
            self._note()
            raise
        except MALFORMED as error:
            self._note()
            raise forms.ValidationError("This is no answer of a key: it did not come from this page.") from error

    def _note(self) -> None:
        name = self.user.get_username() if self.user else ""
        logins.note("second_factor_refused", client.text(name), context.request, outcome="failure", kind=KIND)


class AuthenticateForm(_Answer, theirs.AuthenticateWebAuthnForm):  # type: ignore[misc]
    """The second factor after the password."""


class PasskeyLoginForm(_Answer, theirs.LoginWebAuthnForm):  # type: ignore[misc]
    """A login with a passkey alone, which verified its owner itself."""


class ReauthenticateForm(_Answer, theirs.ReauthenticateWebAuthnForm):  # type: ignore[misc]
    """Asked once more before factors are changed."""
