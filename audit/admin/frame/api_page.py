"""The API as a page: what each answer means for a writer, as docs/connect.md says it, and every call, to be tried."""

from functools import cache

from csp.decorators import csp_update
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from audit.admin.frame.help_page import marked

GUIDE = settings.BASE_DIR / "docs" / "connect.md"
ANSWERS = "| answer | it means | do |"


@require_safe
@csp_update({"img-src": ["data:"]})  # the icons of Swagger UI stand in its style sheet
def page(request: HttpRequest) -> HttpResponse:
    """For people who write a client, without a login, as the description at /api/schema/ is. It asks no other host."""
    return render(request, "pages/api.html", {"answers": answers()})


@cache
def answers() -> list[list[SafeString]]:
    """Read what each answer means: a line an answer, with its status, its meaning, and what to do."""
    table = GUIDE.read_text(encoding="utf-8").partition(ANSWERS)[2].partition("\n\n")[0]
    rows = [row.strip("| ").split(" | ") for row in table.splitlines() if row.startswith("| ")]
    return [[marked(cell) for cell in row] for row in rows]
