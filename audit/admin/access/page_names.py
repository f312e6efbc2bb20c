"""The pages of the access log in words: what an address shows, and the search that it repeats."""

from typing import NamedTuple
from urllib.parse import parse_qs, urlencode

from django.apps import apps
from django.urls import Resolver404, ResolverMatch, resolve, reverse

from audit.admin.search.query_bar import QUERY

# Of a key that is shown; the whole address is shown on hover.
KEY_CHARS = 8
VIEWS = {
    "changelist": "list of {many}",
    "change": "{one} {key}",
    "add": "form for a new {one}",
    "json": "list of {many}, as JSON",
    "csv": "list of {many}, as CSV",
    "timeline": "timeline",
    "compare": "comparison of two records",
    "proof": "proof of the {one} {key}",
    "bundle": "{one} {key} with its proof",
    "canonical": "bytes of the {one} {key}",
    "export": "file of {many}",
    "file": "file of the {one} {key}",
    "day": "{one} of {key}",
}


class PageName(NamedTuple):
    """What was shown; the terms that were searched, and where that search is repeated; "" where there are none."""

    words: str
    terms: str
    repeat: str


def page_name(path: str, query: str) -> PageName:
    try:
        match = resolve(path)
    except Resolver404:
        return PageName("", "", "")
    asked = {name: values[-1] for name, values in parse_qs(query).items()}
    terms = asked.get(QUERY, "")
    # Only lists are repeated: other pages show what their address says.
    is_list = (match.url_name or "") in ("audit_record_changelist", "audit_record_json", "audit_record_csv")
    repeat = f"{reverse('admin:audit_record_changelist')}?{urlencode({QUERY: terms})}" if is_list and terms else ""
    others = ", ".join(
        f"{name} {value}" for name, value in asked.items() if not name.startswith(("_", QUERY)) and value
    )
    return PageName(_words(match), terms or others, repeat)


def _words(match: ResolverMatch) -> str:
    _, _, rest = (match.url_name or "").partition("_")
    model, _, view = rest.partition("_")
    if match.app_name != "admin" or model not in apps.all_models["audit"] or view not in VIEWS:
        return ""
    meta = apps.get_model("audit", model)._meta
    key = str(next(iter(match.kwargs.values()), ""))
    if (model, view) == ("account", "changelist"):
        return "reconciliation"
    shown = key if view == "day" or len(key) <= KEY_CHARS else f"{key[:KEY_CHARS]}…"
    return VIEWS[view].format(one=meta.verbose_name, many=meta.verbose_name_plural, key=shown)
