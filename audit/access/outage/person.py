"""Somebody who was logged in before the outage, as their session's copy has them."""

from dataclasses import dataclass
from typing import Any, ClassVar

from audit.visibility import Scopes

# The only permission that a copy carries: without it there is none.
VIEW_PARKED = "audit.view_parked"


@dataclass(frozen=True)
class KnownPerson:
    """Stands in the place of the user of a request: sees the queue within their scopes, and may do nothing."""

    pk: str
    name: str
    sight: Scopes

    is_authenticated: ClassVar = True
    is_active: ClassVar = True
    is_staff: ClassVar = True
    is_anonymous: ClassVar = False
    is_superuser: ClassVar = False

    def get_username(self) -> str:
        return self.name

    def get_short_name(self) -> str:
        return self.name

    def has_usable_password(self) -> bool:
        return False

    def has_perm(self, permission: str, row: Any = None) -> bool:
        return permission == VIEW_PARKED

    def has_module_perms(self, app: str) -> bool:
        return app == VIEW_PARKED.partition(".")[0]
