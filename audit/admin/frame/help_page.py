"""Help: the keys of the pages and the glossary, as docs/glossary.md has it."""

import re
from functools import cache
from typing import NamedTuple

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

GLOSSARY = settings.BASE_DIR / "docs" / "glossary.md"
ROLES = settings.BASE_DIR / "docs" / "access.md"
_ROW = re.compile(r"^\| (?P<word>[^|]+) \| (?P<meaning>[^|]+) \|[^|]*\|$")
_CODE = re.compile(r"`([^`]+)`")
_EMPHASIS = re.compile(r"\*([^*]+)\*")


class Chapter(NamedTuple):
    """Words and what each means, under a heading."""

    title: str
    words: list[tuple[str, SafeString]]


def page(request: HttpRequest) -> HttpResponse:
    context = {
        **admin.site.each_context(request),
        "title": "Help and glossary",
        "chapters": chapters(),
        "roles": roles(),
    }
    return TemplateResponse(request, "admin/help.html", context)


@cache
def chapters() -> list[Chapter]:
    """Read the glossary: its headings, and the first two columns of its tables."""
    found: list[Chapter] = []
    for line in GLOSSARY.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            found.append(Chapter(line.removeprefix("## "), []))
        elif found and (row := _ROW.match(line)) and row["word"] not in ("word", "---"):
            found[-1].words.append((row["word"].strip(), marked(row["meaning"].strip())))
    return found


@cache
def roles() -> list[list[str]]:
    """Read who may do what: the roles, and then a line a right with what each role may."""
    table = ROLES.read_text(encoding="utf-8").partition("| may |")
    rows = "".join(table[1:]).partition("\n\n")[0].splitlines()
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows if not row.startswith("|---")]


def marked(text: str) -> SafeString:
    """Return a line of Markdown with its code and its emphasis as HTML."""
    plain = _CODE.sub(r"<code>\1</code>", escape(text))
    return mark_safe(_EMPHASIS.sub(r"<em>\1</em>", plain))  # escaped before
