"""page: the page that checks a bundle in the browser, for everybody: no login, no PostgreSQL, no cookie.

Its files are served here and not among the static ones, because a worker is bound by the policy that comes with its own
file, not by that of the page: only so is it kept from sending anything, whoever serves the static files.
"""

import io
import zipfile
from functools import cache
from pathlib import Path

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

FOLDER = settings.BASE_DIR / "audit" / "verifier"
ICON = settings.BASE_DIR / "audit" / "static" / "audit" / "icon.svg"
VERIFIER = settings.BASE_DIR / "verify.py"
OFFLINE = "offline.zip"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".zip": "application/zip",
}
POLICY = "; ".join(
    (
        "default-src 'none'",
        *(f"{name} 'self'" for name in ("script-src", "worker-src", "style-src", "img-src")),
        *(f"{name} 'none'" for name in ("connect-src", "form-action", "frame-ancestors", "base-uri")),
    )
)
"""Stricter than that of the other pages: nothing may be asked for or sent."""


@require_safe
def page(request: HttpRequest, name: str) -> HttpResponse:
    """The page, a file of it, or all of it as a zip to take along."""
    name = name or "index.html"
    body = _files().get(name)
    if body is None:
        raise Http404(f"The page that checks bundles has no file {name}.")
    response = HttpResponse(body, content_type=TYPES[Path(name).suffix])
    response["Content-Security-Policy"] = POLICY
    response["Cache-Control"] = "no-cache"  # files of two versions must not meet
    return response


@cache
def _files() -> dict[str, bytes]:
    found = {path.name: path.read_bytes() for path in (*sorted(FOLDER.iterdir()), ICON) if path.suffix in TYPES}
    return found | {OFFLINE: _zip(found | {"verify.py": VERIFIER.read_bytes()})}


def _zip(files: dict[str, bytes]) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name, body in files.items():
            archive.writestr(zipfile.ZipInfo(f"verify/{name}"), body)  # of no time: the same files, the same bytes
    return whole.getvalue()
