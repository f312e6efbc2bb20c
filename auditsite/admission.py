"""Before a body is read: whether its headers let it in; and the content of refusals that no view made."""

import json
from typing import Any

from django.core.handlers.wsgi import WSGIRequest

from audit.access import api_keys
from audit.api import problems
from audit.api.auth import key_of, principal_of

_SLUGS = {400: "malformed", 408: "too-slow", 431: "headers-too-large", 500: "internal-error"}


def lets_in(environ: dict[str, Any]) -> bool:
    """Return whether the body of a request may come: below /api/ only where its key or token is known.

    What is not let in is answered by its view, which asks for the key before it reads.
    """
    if not problems.is_of_api(environ["PATH_INFO"]):
        return True
    request = WSGIRequest(environ)
    key = key_of(request)
    try:
        return bool(key) and principal_of(request, key) is not None
    except (api_keys.TooManyUnknown, api_keys.Unanswerable):
        return False


def refuse(path: str, status: int, detail: str) -> tuple[str, bytes]:
    """Return the content type and the content of a refusal."""
    body = problems.problem(status, _SLUGS[status], detail, instance=path)
    return problems.CONTENT_TYPE, json.dumps(body).encode()
