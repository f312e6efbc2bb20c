"""Authenticate writer keys, without PostgreSQL where it is down, and check their scopes."""

from typing import Any

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, Throttled
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from audit import metrics, visibility
from audit.access import api_keys, client
from audit.access.tokens import check as token_check
from audit.ingest import rejection_counters, rejections
from audit.ingest.rejections import Refusal


class WriterKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer <key>` or `X-API-Key: <key>`; in place of a key a token of JWT_ISSUER."""

    def authenticate(self, request: Request) -> tuple[api_keys.Principal, str] | None:
        if not (key := key_of(request)):
            return None
        try:
            principal = principal_of(request, key)
        except api_keys.TooManyUnknown:
            raise Throttled(1, "This network sent too many unknown keys: wait, and send the right one.") from None
        if principal is None:
            _count_ended(key)
            raise AuthenticationFailed(
                "The key or token is unknown, revoked or expired: ask the operator for a new one."
            )
        visibility.identify(principal.name, principal.sight)
        return principal, ""

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class HasScope(BasePermission):
    """The key must carry the scope that the view's `scopes` names for the method, or one of several."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if not isinstance(request.user, api_keys.Principal):
            return False
        # HEAD discloses as much as GET by its status and length. A method without a scope is refused.
        method = "GET" if request.method == "HEAD" else request.method
        if method == "OPTIONS" or method not in view.allowed_methods:
            return True  # describes the view, or is answered 405
        scopes = view.scopes.get(method, ())
        scopes = (scopes,) if isinstance(scopes, str) else scopes
        self.message = f"This needs a key with the scope {' or '.join(map(repr, scopes))}."
        return not request.user.scopes.isdisjoint(scopes)


def writer_name(request: Request) -> str:
    principal: Any = request.user
    return str(principal.name)


def principal_of(request: HttpRequest | Request, key: str) -> api_keys.Principal | None:
    """Return whose key or token it is; None for nobody's. Raises `TooManyUnknown` and `Unanswerable`."""
    check = token_check.check if token_check.is_token(key) else api_keys.check
    return check(key, client.network(request))


def _count_ended(key: str) -> None:
    """Count a request with a key that was good: its sender has not got the new one, and what it sends is lost."""
    if (writer := api_keys.whose_ended(key)) is not None:
        metrics.ended_keys.labels(writer=writer).inc()
        rejection_counters.count(writer, [Refusal(rejections.ENDED_KEY, 1)])


def key_of(request: HttpRequest | Request) -> str:
    """Return the key that a request carries; "" for none."""
    headers = request.META
    scheme, _, credentials = str(headers.get("HTTP_AUTHORIZATION", "")).partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    return str(headers.get("HTTP_X_API_KEY", "")).strip()
