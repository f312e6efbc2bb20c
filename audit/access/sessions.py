"""Limit how long sessions last, end all of a person's at once, and keep a copy of each for outages."""

import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.models import Session
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from audit.access import client, logins
from audit.access.outage import copying, pages
from audit.ingest import trail
from audit.postgres.gateway import gateway

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
        if not request.path.startswith(PAGES):
            return self.get_response(request)
        if gateway().breaker.is_open or not _limited(request):
            return self.get_response(request) if pages.enter(request) else pages.instead(request)
        response = self.get_response(request)
        _keep_copy(request)
        return response


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


def _limited(request: HttpRequest) -> bool:
    """End a session that has lasted too long; False where PostgreSQL does not say which session it is."""
    try:
        _limit(request, time.time())
    except (OperationalError, InterfaceError):
        return False
    return True


def _keep_copy(request: HttpRequest) -> None:
    """Keep what an outage would need of a session, also of one that has just begun."""
    try:
        copying.renew(request, request.session.get(BEGAN, 0.0), time.time())
    except (OperationalError, InterfaceError):
        return  # the answer is there: PostgreSQL went away after it, and the session is read anew by the next


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
