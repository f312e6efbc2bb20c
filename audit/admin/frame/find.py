"""Where the search box of the header leads: to the one thing that was named, or to a list of what matches."""

from urllib.parse import urlencode
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

import dlq.stream
from audit.models import Record
from audit.queue.visible import visible
from dlq.errors import Refused

RECORDS, QUEUE = "audit.view_record", "audit.view_parked"


def find(request: HttpRequest) -> HttpResponse:
    """Redirect to the record or the parked event with this id, else to the list that the text searches."""
    text = request.GET.get("q", "").replace("\x00", "").strip()
    if (event_id := _event_id(text)) and (page := _page_of(request, event_id)):
        return redirect(page)
    if request.user.has_perm(RECORDS):
        return redirect(f"{reverse('admin:audit_record_changelist')}?{urlencode({'q': text})}")
    if request.user.has_perm(QUEUE):
        return redirect(f"{reverse('admin:audit_parked_changelist')}?{urlencode({'q': text})}")
    raise PermissionDenied


def _event_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _page_of(request: HttpRequest, event_id: UUID) -> str | None:
    # A redirect shows nothing; the page that it leads to is recorded.
    if request.user.has_perm(RECORDS) and Record.objects.filter(id=event_id).exists():
        return reverse("admin:audit_record_change", args=[event_id])
    if request.user.has_perm(QUEUE):
        try:
            message = dlq.stream.default().pages.find(str(event_id))
        except Refused:
            return None
        for shown in visible([message] if message else []):
            return reverse("admin:audit_parked_change", args=[shown.id])
    return None
