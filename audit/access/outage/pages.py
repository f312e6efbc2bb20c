"""The pages that open while PostgreSQL is away, to whom, and the page that stands in the place of all others."""

import time

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import Resolver404, resolve

from audit.access.outage import session_copies
from audit.access.outage.person import KnownPerson
from audit.access.outage.session_copies import SessionCopy
from audit.ingest.signed_copies import CopyUnavailable

log = structlog.get_logger(__name__)

# The list of the queue and the page of one event: read from Redis alone. Nothing else of the admin opens.
READABLE = ("admin:audit_parked_changelist", "admin:audit_parked_change")
# The page that stands in for the others tries again so often.
REFRESH_S = 5
# A session that is used in an outage is noted so at most so often, as in health.
NOTED_S = 60


def is_readable(request: HttpRequest) -> bool:
    """Whether the page is read from Redis alone, and changes nothing."""
    if request.method not in ("GET", "HEAD"):
        return False
    try:
        return resolve(request.path_info).view_name in READABLE
    except Resolver404:
        return False


def enter(request: HttpRequest) -> bool:
    """Let whoever was logged in before the outage read the queue: True where this page opens to them."""
    if not is_readable(request) or (copy := _copy(request)) is None:
        return False
    request.user = copy.person  # type: ignore[assignment]  # has what pages of the queue ask of a user
    _note_use(request, copy)
    return True


def person_of(request: HttpRequest) -> KnownPerson | None:
    """Return who may read the queue by this request's cookie. To ask is no use of the session."""
    copy = _copy(request)
    return None if copy is None else copy.person


def instead(request: HttpRequest) -> HttpResponse:
    """Answer 503 with what still works; the browser asks again by itself, where it had asked for a page."""
    may_retry = request.method == "GET"
    context = {"may_read_queue": person_of(request) is not None, "may_retry": may_retry, "refresh_s": REFRESH_S}
    response = render(request, "pages/outage.html", context, status=503)
    if may_retry:
        response["Refresh"] = str(REFRESH_S)
    return response


def _copy(request: HttpRequest) -> SessionCopy | None:
    session_key = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
    if not session_key:
        return None
    try:
        return session_copies.find(session_key)
    except CopyUnavailable as error:
        log.warning("session_copy_not_read", error=str(error))
        return None


def _note_use(request: HttpRequest, copy: SessionCopy) -> None:
    """The session goes on as it is used; never longer than it may last in all."""
    now = time.time()
    if now - copy.seen <= NOTED_S:
        return
    try:
        key = request.COOKIES[settings.SESSION_COOKIE_NAME]
        session_copies.keep(key, copy._replace(seen=now), only_if_there=True)
    except CopyUnavailable as error:
        log.warning("session_copy_not_noted", error=str(error))
