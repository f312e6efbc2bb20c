"""Copy the session of a request to Redis: when it begins, and while it is used at most once a minute."""

import structlog
from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare

from audit.access import access_log, client
from audit.access.outage import session_copies
from audit.access.outage.person import VIEW_PARKED, KnownPerson
from audit.access.outage.session_copies import SessionCopy
from audit.ingest.signed_copies import CopyUnavailable

log = structlog.get_logger(__name__)

COPIED, COPIED_S = "copied", 60


def renew(request: HttpRequest, began: float, now: float) -> None:
    """Copy the session of who is logged in, unless that was done lately. What fails only leaves the copy out."""
    session = request.session
    if SESSION_KEY not in session:
        return
    name = client.session(request)
    copied, at = session.get(COPIED, ("", 0.0))
    if copied == name and now - at < COPIED_S:
        return
    session[COPIED] = [name, now]
    try:
        _copy(request, began, now)
    except (CopyUnavailable, OperationalError, InterfaceError) as error:
        log.warning("session_not_copied", error=type(error).__name__)


def _copy(request: HttpRequest, began: float, now: float) -> None:
    """Read the person afresh, after the stamps: what changes meanwhile voids the copy."""
    session, pk = request.session, str(request.session[SESSION_KEY])
    stamps = session_copies.stamps(pk)
    person = get_user_model().objects.filter(pk=pk, is_active=True, is_staff=True).first()
    if person is None or not constant_time_compare(session.get(HASH_SESSION_KEY, ""), person.get_session_auth_hash()):
        return
    if person.has_perm(VIEW_PARKED) and not _lacks_second_factor(person):
        known = KnownPerson(pk, person.get_username(), access_log.sight_of(person))
        session_copies.keep(str(session.session_key), SessionCopy(known, began, now, stamps))


def _lacks_second_factor(person: object) -> bool:
    if not settings.LOGIN_EXTRA:
        return False
    from audit.access import mfa  # allauth is an extra

    return mfa.is_missing(person)
