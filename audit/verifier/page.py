"""page: the page that checks a bundle in the browser, without a login, PostgreSQL or a cookie.

Its files are served here and not as static files: a web worker is bound by the content security policy of its own
file, not by that of the page. So the worker cannot send anything, whoever serves the static files.
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
# Stricter than the policy of the other pages: nothing may be requested or sent.
POLICY = "; ".join(
    (
        "default-src 'none'",
        *(f"{name} 'self'" for name in ("script-src", "worker-src", "style-src", "img-src")),
        *(f"{name} 'none'" for name in ("connect-src", "form-action", "frame-ancestors", "base-uri")),
    )
)


@require_safe
def page(request: HttpRequest, name: str) -> HttpResponse:
    """The page, one of its files, or all of them as a zip."""
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
    files = {path.name: path.read_bytes() for path in (*sorted(FOLDER.iterdir()), ICON) if path.suffix in TYPES}
    return files | {OFFLINE: _zip(files | {"verify.py": VERIFIER.read_bytes()})}


def _zip(files: dict[str, bytes]) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(f"verify/{name}"), content)  # without a time: the same bytes each time
    return body.getvalue()
