"""RFC 9457 problem documents: the one shape of every error."""

from typing import Any

import structlog
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import DatabaseError
from django.http import Http404, HttpRequest, JsonResponse, UnreadablePostError
from rest_framework import exceptions, status
from rest_framework.response import Response

from audit import errors, metrics
from audit.access import limits
from audit.access.api_keys import Unanswerable
from audit.api import rejections
from audit.api.parsers import TAKEN, UnsupportedEncoding
from audit.postgres.faults import headline
from audit.retention.legal_holds import AlreadyHeld
from audit.search.cost import was_stopped

log = structlog.get_logger(__name__)

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER_S = 5
UNREAD = "The key could not be checked when the request began, so its body was not read: send it again."

# Every problem type: the last part of its `type` path, and its title.
TITLES = {
    "validation-error": "The request is not valid",
    "malformed": "The request is not HTTP as it should be",
    "not-authenticated": "No valid key was sent",
    "not-permitted": "The key does not permit this",
    "not-found": "There is no such thing here",
    "method-not-allowed": "The method is not allowed here",
    "not-sealed": "The record is not sealed yet",
    "log-damaged": "The log cannot answer",
    "exports-off": "No evidence bundles are made here",
    "conflict": "The event id is used already, with other content",
    "held": "The correlation is held already",
    "too-large": "The body is too large",
    "headers-too-large": "The headers are too large",
    "too-slow": "The request came too slowly",
    "bad-host": "The site is not called so",
    "too-many": "More records match than are exported at once",
    "unsupported-media-type": "The body must be application/json",
    "not-acceptable": "Only application/json is served here",
    "rate-limited": "Too many requests",
    "unavailable": "The event could not be kept",
    "not-implemented": "This store does not do this",
    "query-unavailable": "The records cannot be read now",
    "internal-error": "The server failed",
}


class TooLarge(exceptions.APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = "The body is larger than 5 MiB: send fewer events at a time."


class Unreadable(exceptions.APIException):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "PostgreSQL does not answer: try again when it is back. Events are taken meanwhile."


class TooSlow(Unreadable):
    """PostgreSQL is up, and this search took longer than it may."""

    default_detail = "The search took too long, and PostgreSQL is up: narrow it by time, such as with `since=24h`."


_BY_STATUS = {
    400: "validation-error",
    401: "not-authenticated",
    403: "not-permitted",
    404: "not-found",
    405: "method-not-allowed",
    406: "not-acceptable",
    413: "too-large",
    415: "unsupported-media-type",
    429: "rate-limited",
    501: "not-implemented",
    503: "query-unavailable",
}


def is_of_api(path: str) -> bool:
    """Return whether errors at a path are answered as problem documents."""
    return f"/{path.lstrip('/')}".startswith("/api/")


def problem(
    code: int, slug: str, detail: str, *, instance: str = "", field_errors: dict[str, str] | None = None
) -> dict[str, Any]:
    body: dict[str, Any] = {"type": f"/problems/{slug}", "title": TITLES[slug], "status": code}
    body |= {"detail": detail, "instance": instance}
    return body if field_errors is None else body | {"field_errors": field_errors}


def exception_handler(error: Exception, context: dict[str, Any]) -> Response:
    """Answer every exception of an API view as a problem; what is not expected becomes a bare 500."""
    instance = context["request"].path
    body, headers = _body(error, instance, many=getattr(context["view"], "many", False))
    metrics.rejected.labels(status=body["status"]).inc()
    rejections.note(error, context)
    if body["status"] == 503 and (charged := getattr(context["view"], "charged", None)) is not None:
        limits.give_back(charged)  # it has to be sent again: whoever does so in an outage is not locked out after it
    return Response(body, status=body["status"], headers=headers, content_type=CONTENT_TYPE)


def server_error(request: HttpRequest) -> JsonResponse:
    """Django's last resort, for errors outside the API views."""
    return _plain(request, 500, "internal-error", "The error is logged with the request id.")


def not_found(request: HttpRequest, exception: Exception) -> JsonResponse:
    return _plain(request, 404, "not-found", f"Nothing is served at {request.path}.")


def bad_host(request: HttpRequest) -> JsonResponse:
    """The Host header names none of ALLOWED_HOSTS."""
    return _plain(request, 400, "bad-host", "The Host header names another site: check the address, or ALLOWED_HOSTS.")


def unrecorded(request: HttpRequest) -> JsonResponse:
    """Who looks is recorded first; now that is not possible."""
    detail = "Reading records is itself recorded, and nothing can be recorded now. Try again in a moment."
    response = _plain(request, 503, "query-unavailable", detail)
    response["Retry-After"] = str(RETRY_AFTER_S)
    return response


def _plain(request: HttpRequest, code: int, slug: str, detail: str) -> JsonResponse:
    return JsonResponse(problem(code, slug, detail, instance=request.path), status=code, content_type=CONTENT_TYPE)


def _body(error: Exception, instance: str, *, many: bool) -> tuple[dict[str, Any], dict[str, str]]:
    match error:
        case errors.Invalid():
            detail = f"{_summary(error.errors)}; nothing was kept."
            return problem(400, "validation-error", detail, instance=instance, field_errors=error.errors), {}
        case errors.Conflict():
            message = "was used before with other content"
            fields = {f"{place}.{error.field}" if many else error.field: message for place in error.positions}
            return problem(409, "conflict", str(error), instance=instance, field_errors=fields), {}
        case errors.NothingKept():
            body = problem(503, "unavailable", str(error), instance=instance) | {"event_ids": error.event_ids}
            return body, {"Retry-After": str(RETRY_AFTER_S)}
        case Unanswerable():
            return problem(503, "unavailable", f"{error} Nothing was kept.", instance=instance), {
                "Retry-After": str(RETRY_AFTER_S)
            }
        case UnreadablePostError():
            return _body(Unanswerable(UNREAD), instance, many=many)
        case AlreadyHeld():
            return problem(409, "held", str(error), instance=instance), {}
        case errors.NotSealed():
            return problem(409, "not-sealed", str(error), instance=instance), {"Retry-After": "1"}
        case errors.ExportsOff():
            return problem(503, "exports-off", str(error), instance=instance), {}
        case errors.TooManyMatch():
            return problem(413, "too-many", str(error), instance=instance), {}
        case errors.LogDamaged() | errors.KeyMissing():
            log.error("log_cannot_answer", error=str(error))
            detail = "The log is damaged or its keys are missing: the operator has to look (`manage.py verify`)."
            return problem(500, "log-damaged", detail, instance=instance), {}
        case DatabaseError() | errors.Unavailable():
            log.warning("query_failed", error=headline(error))
            return _of_api(TooSlow() if was_stopped(error) else Unreadable(), instance)
        case _:
            return _of_api(_as_api_exception(error), instance)


def _summary(faults: dict[str, str]) -> str:
    """What is wrong with the request as a whole, or how many of its members are at fault."""
    return faults[""] if list(faults) == [""] else f"{len(faults)} finding(s)"


def _as_api_exception(error: Exception) -> exceptions.APIException:
    match error:
        case exceptions.APIException():
            return error
        case RequestDataTooBig():
            return TooLarge()
        case Http404():
            return exceptions.NotFound(str(error) or None)
        case PermissionDenied():
            return exceptions.PermissionDenied()
    raise error


def _of_api(error: exceptions.APIException, instance: str) -> tuple[dict[str, Any], dict[str, str]]:
    headers = {}
    if header := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = header
    if isinstance(error, exceptions.Throttled):
        headers["Retry-After"] = str(int(getattr(error, "wait", None) or 1) + 1)
    if isinstance(error, UnsupportedEncoding):
        headers["Accept-Encoding"] = TAKEN
    if error.status_code == 503:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    return problem(error.status_code, _BY_STATUS[error.status_code], str(error.detail), instance=instance), headers
