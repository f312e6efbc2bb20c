"""Require a second factor of people who administer or decide, where LOGIN_MFA is "required"."""

from collections.abc import Callable
from typing import Any

from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

PAGES = "/admin/"
# Who has one of these administers or decides.
RIGHTS = ("auth.change_user", "audit.change_writer", "audit.approve_discard", "audit.approve_rights")


class SecondFactorMiddleware:
    """Redirects to the page where a second factor is set up; before that no other page opens."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path.startswith(PAGES) and "/logout/" not in request.path and is_missing(request.user):
            messages.warning(request, "Your account administers or decides: set up a second factor first.")
            return redirect("mfa_index")
        return self.get_response(request)


def is_missing(user: Any) -> bool:
    if settings.LOGIN_MFA != "required" or not user.is_authenticated:
        return False
    return any(map(user.has_perm, RIGHTS)) and not is_mfa_enabled(user)
