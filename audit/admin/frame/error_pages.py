"""Pages for what cannot be shown: in the dress of the site for whoever is logged in, plain for others."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

PAGES = "/admin/"


def missing(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Nothing is at this address, or not for this person."""
    named = str(exception) if exception.args and isinstance(exception.args[0], str) else ""
    return _page(request, "Nothing is here", named, "404", 404)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """The person's role does not open this page."""
    return _page(request, "Your role does not open this page", "", "403", 403)


def _page(request: HttpRequest, title: str, text: str, name: str, status: int) -> HttpResponse:
    user = getattr(request, "user", None)
    if not request.path.startswith(PAGES) or user is None or not admin.site.has_permission(request):
        return render(request, f"{name}.html", status=status)
    roles = ", ".join(group.name for group in user.groups.all()) or "none"
    context = {**admin.site.each_context(request), "title": title, "text": text, "roles": roles}
    return render(request, f"errors/{name}.html", context, status=status)
