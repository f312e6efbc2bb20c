"""The first person of a new store: made by a link that stands in the log, and is good until somebody exists."""

import time

import structlog
from django import forms
from django.contrib import admin
from django.contrib.auth.forms import UserCreationForm
from django.contrib.auth.models import User
from django.core.signing import BadSignature, TimestampSigner
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect

from audit.access import client
from audit.ingest import trail
from audit.postgres import sql

log = structlog.get_logger(__name__)

GOOD_S = 24 * 60 * 60
# The link is written to the log at most so often.
TOLD_S = 60
_signer = TimestampSigner(salt="audit.first-person")
_told_at = 0.0


class FirstPersonForm(UserCreationForm):
    email = forms.EmailField(required=False, help_text="Optional: where messages about the store go.")

    class Meta(UserCreationForm.Meta):
        fields = ("username", "email")


def is_needed() -> bool:
    return not User.objects.exists()


def waiting(request: HttpRequest) -> HttpResponse:
    """Say where the link is, and write it to the log."""
    global _told_at
    if time.monotonic() - _told_at > TOLD_S or not _told_at:
        _told_at = time.monotonic()
        url = request.build_absolute_uri(reverse("admin:first_person", args=[_signer.sign("first")]))
        log.warning("first_person_link", url=url, good_hours=GOOD_S // 3600)
    return TemplateResponse(request, "pages/first_wait.html", status=200)


@never_cache
@csrf_protect
def make(request: HttpRequest, token: str) -> HttpResponse:
    """The form that makes the first person, a superuser, once."""
    try:
        _signer.unsign(token, max_age=GOOD_S)
    except BadSignature:
        raise Http404("This link is not good, or not good any more.") from None
    if not is_needed():
        raise Http404("Somebody exists already: this link is used up.")
    form = FirstPersonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            sql.run("SELECT pg_advisory_xact_lock(hashtext('audit_first_person'))")
            if not is_needed():
                raise Http404("Somebody exists already: this link is used up.")
            name = form.cleaned_data["username"]
            where = trail.Where(address=client.address(request))
            facts = {"name": name, "is_superuser": True, "first": True}
            trail.add("audit.person.created", where, actor=name, correlation=f"person-{name}", **facts)
            user = form.save(commit=False)
            user.is_staff = user.is_superuser = True
            user.save()
        return redirect("admin:login")
    context = {"form": form, "site_header": admin.site.site_header}
    return TemplateResponse(request, "pages/first_person.html", context)
