"""What of a refused request goes into the account: how many events, for which reasons."""

import json
from collections.abc import Sequence
from typing import Any

import structlog
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, RawPostDataException, UnreadablePostError
from rest_framework.exceptions import ParseError, UnsupportedMediaType

from audit.access import api_keys
from audit.api.parsers import UnsupportedEncoding, text_of
from audit.errors import Conflict, Invalid
from audit.formats.canonical import Unreadable
from audit.ingest import rejection_counters, rejections
from audit.ingest.rejections import Refusal

log = structlog.get_logger(__name__)


def note(error: Exception, context: dict[str, Any]) -> None:
    """Count what a writer sent as events and was refused for good. What may be sent again (429, 503) is not counted."""
    view, request = context["view"], context["request"]
    if request.method != "POST" or not getattr(view, "takes_events", False):
        return
    if (writer := _writer(error, request)) is None:
        return
    try:
        if refusals := _refusals(error, request, many=view.many):
            rejection_counters.count(writer, refusals)
    except Exception:
        log.exception("rejected_uncounted", writer=writer)  # the sender's answer stands, whatever this is


def _writer(error: Exception, request: Any) -> str | None:
    """Whose events were refused; nobody's where the key was, or where it could not be checked."""
    if isinstance(error, api_keys.Unanswerable):
        return None
    return request.user.name if isinstance(request.user, api_keys.Principal) else None


def _refusals(error: Exception, request: Any, *, many: bool) -> list[Refusal]:
    match error:
        case Invalid():
            documents = request.data if many else None
            if isinstance(documents, list) and documents:
                return _of_batch(error.errors, documents)
            return [Refusal(rejections.reason_of(error.errors), 1, str(error), _body(request._request))]
        case Conflict():
            documents = request.data if many else [request.data]
            faults = {place: {"": str(error)} for place in error.positions}
            return _with_the_rest(faults, documents, dict.fromkeys(faults, rejections.CONFLICT))
        case RequestDataTooBig():
            return [Refusal(rejections.TOO_LARGE, 1)]
        case UnsupportedEncoding():
            return [Refusal(rejections.ENCODING, 1, str(error))]
        case UnsupportedMediaType():
            return [Refusal(rejections.MEDIA_TYPE, 1, str(error), _body(request._request))]
        case ParseError():
            return [Refusal(rejections.UNREADABLE, 1, str(error), _body(request._request))]
    return []


def _of_batch(errors: dict[str, str], documents: Sequence[Any]) -> list[Refusal]:
    faults = rejections.by_place(errors)
    if (whole := faults.get(None)) is None:
        at = {place: errors for place, errors in faults.items() if place is not None}
        return _with_the_rest(at, documents, {place: rejections.reason_of(errors) for place, errors in at.items()})
    detail = "; ".join(whole.values())
    return [Refusal(rejections.reason_of(whole), len(documents), detail, _text(documents[0]))]


def _with_the_rest(faults: dict[int, dict[str, str]], documents: Sequence[Any], why: dict[int, str]) -> list[Refusal]:
    """Each event at fault by its reason, the others as refused with their batch: all that were sent, each once."""
    refusals = [
        Refusal(why[place], 1, "; ".join(f"{field}: {text}" for field, text in errors.items()), _text(documents[place]))
        for place, errors in faults.items()
    ]
    rest = len(documents) - len(refusals)
    return [*refusals, Refusal(rejections.WITH_ITS_BATCH, rest)] if rest else refusals


def _text(document: Any) -> bytes:
    if isinstance(document, Unreadable):
        return document.text[: rejection_counters.SAMPLE_BYTES * 2].encode()
    return json.dumps(document, ensure_ascii=False)[: rejection_counters.SAMPLE_BYTES * 2].encode(
        errors="backslashreplace"
    )


def _body(request: HttpRequest) -> bytes:
    try:
        return text_of(request)[: rejection_counters.SAMPLE_BYTES * 2]
    except (RequestDataTooBig, RawPostDataException, UnreadablePostError, Invalid, UnsupportedMediaType):
        return b""
