"""Limit how long sessions last, and end all of a person's at once."""

import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.models import Session
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from audit.access import client, logins
from audit.ingest import trail

PAGES = ("/admin/", "/accounts/")
BEGAN, SEEN = "began", "seen"
# A session notes at most so often that it was used: else each page would cost a write.
NOTED_S = 60


class SessionLimitsMiddleware:
    """Ends sessions that are too old, or were unused for too long, wherever the browser kept the cookie."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # No other page knows sessions; some have to work without the database that holds them.
        if request.path.startswith(PAGES):
            try:
                _limit(request, time.time())
            except (OperationalError, InterfaceError):
                return render(request, "pages/outage.html", status=503)
        return self.get_response(request)


def end_all(person: Any, *, by: str) -> int:
    """End every session of a person, recorded first; return how many. Raises `NothingKept`."""
    name = person.get_username()
    trail.add("audit.person.sessions_ended", actor=by, correlation=f"person-{name}", name=name)
    live = Session.objects.filter(expire_date__gt=timezone.now()).iterator()
    own = [session.pk for session in live if session.get_decoded().get(SESSION_KEY) == str(person.pk)]
    count: int = Session.objects.filter(pk__in=own).delete()[0]
    return count


def start_clock(request: HttpRequest | None = None, **details: Any) -> None:
    if request is not None:
        request.session[BEGAN] = request.session[SEEN] = time.time()


def _limit(request: HttpRequest, now: float) -> None:
    session = request.session
    if SESSION_KEY not in session:
        return
    began, seen = session.get(BEGAN, 0.0), session.get(SEEN, 0.0)
    if now - began > settings.SESSION_HOURS * 3600:
        _end(request, "too old")
    elif now - seen > settings.SESSION_IDLE_MINUTES * 60:
        _end(request, "not used")
    elif now - seen > NOTED_S:
        session[SEEN] = now


def _end(request: HttpRequest, why: str) -> None:
    if request.user.is_authenticated:
        logins.note("session_ended", request.user.get_username(), request, why=why, session=client.session(request))
    request.session.flush()
    request.user = AnonymousUser()
