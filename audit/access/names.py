"""The name of the store itself, which no person and no writer may have."""

import unicodedata
from typing import Any

from django.core.exceptions import ValidationError

from audit.models import OWN_WRITER


def is_reserved(name: str) -> bool:
    """Return whether a name is the store's, or looks the same in other letter cases or compatible characters."""
    return unicodedata.normalize("NFKC", name).strip().casefold() == OWN_WRITER


def refuse_reserved(name: str) -> None:
    """Validate the name of a person. Raises `ValidationError`."""
    if is_reserved(name):
        raise ValidationError(f"{OWN_WRITER!r} is the store itself: choose another name.", code="reserved")


def refuse_reserved_person(sender: Any, instance: Any, **details: Any) -> None:
    """Refuse to save a person of this name, whatever made them: a form, a command or a single sign-on."""
    refuse_reserved(instance.get_username())
