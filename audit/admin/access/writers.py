"""The page of writers and their keys. A key is shown once, when it is created."""

from datetime import timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.db.models import QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from audit.access import api_keys, limits, rights
from audit.admin.base import HistoryIsRecords
from audit.admin.display import column
from audit.admin.frame import connect
from audit.api import throttles
from audit.ingest import rejections, trail
from audit.models import Rejection, Writer, WriterKey

WAITS = "Another person who may grant rights, such as a compliance officer, has to grant this (My tasks) before"
QUOTAS = ("quota_events", "quota_bytes", "quota_epochs", "quota_manifests", "quota_exports")


class KeyInline(admin.TabularInline):
    model = WriterKey
    fields = readonly_fields = ("prefix", "subject", "created_at", "used_at", "expires_at", "revoked_at")
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


SCOPES = {
    "write": "send events, heartbeats and manifests",
    "read": "search and read records",
    "export": "make evidence bundles, statements and reports",
    "unredacted": "see what redaction rules hide, in bundles and exports",
    "hold": "place and release legal holds",
    "erase": "ask for erasures, about which people decide",
    "schema": "register schemas that events have to fit",
}


class WriterForm(forms.ModelForm):
    """The writer, and a subject of tokens to admit."""

    scopes = forms.MultipleChoiceField(
        choices=[(name, f"{name}: {SCOPES[name]}") for name in Writer.SCOPES],
        widget=forms.CheckboxSelectMultiple,
        initial=["write"],
        help_text="What its keys may do. All but write waits for a second person.",
    )
    new_subject = forms.CharField(
        max_length=500,
        required=False,
        help_text="Tokens of JWT_ISSUER with this subject speak as the writer, such as "
        "system:serviceaccount:NAMESPACE:NAME; from saving on, and until its keys are revoked.",
    )

    def clean_new_subject(self) -> str:
        subject = str(self.cleaned_data["new_subject"])
        if subject and not settings.JWT_ISSUER:
            raise forms.ValidationError("No issuer of tokens is set (JWT_ISSUER): nothing would hold such a token.")
        if subject and api_keys.is_taken(subject):
            raise forms.ValidationError(str(api_keys.SubjectTaken()))
        return subject


@admin.register(Writer)
class WriterAdmin(HistoryIsRecords):
    """Nobody deletes a writer: its name is in records."""

    list_display = ("name", "scope_names", "created_at", "valid_keys")
    inlines = (KeyInline,)
    actions = ("rotate", "rotate_at_once", "revoke_old", "revoke")
    form = WriterForm

    def has_delete_permission(self, request: HttpRequest, obj: Writer | None = None) -> bool:
        return False

    def get_inlines(self, request: HttpRequest, obj: Writer | None) -> tuple[type[KeyInline], ...]:
        """The keys; a writer that is being made has none before it is saved."""
        return self.inlines if obj else ()

    def get_readonly_fields(self, request: HttpRequest, obj: Writer | None = None) -> tuple[str, ...]:
        return ("name", "created_at", "used_today", "ended_keys") if obj else ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Writer]:
        return super().get_queryset(request).prefetch_related("keys")

    def save_model(self, request: HttpRequest, obj: Writer, form: Any, change: bool) -> None:
        asked: dict[str, Any] = {}
        if not request.user.is_superuser:
            asked = rights.withheld(Writer.objects.filter(pk=obj.pk).first() if change else None, obj)
        reads = {"reads_writers": obj.reads_writers, "reads_categories": obj.reads_categories}
        limited = {name: getattr(obj, name) for name in (*QUOTAS, "is_lenient")}
        _record(request, "changed" if change else "created", obj, scopes=obj.scopes, **reads, **limited)
        super().save_model(request, obj, form, change)
        if change:
            api_keys.publish()
        if subject := form.cleaned_data.get("new_subject"):
            _record(request, "subject-admitted", obj, subject=subject, issuer=settings.JWT_ISSUER)
            api_keys.admit_subject(obj, subject)
        if asked:
            rights.ask("writer", obj.name, asked, by=request.user.get_username())
            messages.warning(request, f"{WAITS} the scopes or the reading of {obj.name} change.")

    def response_add(self, request: HttpRequest, obj: Writer, post_url_continue: str | None = None) -> HttpResponse:
        return self._show(request, [(obj, api_keys.issue(obj))])

    @admin.action(description="Rotate: a new key, the old ones work on for a while", permissions=["change"])
    def rotate(self, request: HttpRequest, queryset: QuerySet[Writer]) -> HttpResponse:
        return self._rotate(request, queryset, api_keys.overlap())

    @admin.action(description="Rotate at once: a new key, the old ones stop", permissions=["change"])
    def rotate_at_once(self, request: HttpRequest, queryset: QuerySet[Writer]) -> HttpResponse:
        return self._rotate(request, queryset, timedelta(0))

    @admin.action(description="Revoke the old keys, all but the newest", permissions=["change"])
    def revoke_old(self, request: HttpRequest, queryset: QuerySet[Writer]) -> None:
        for writer in queryset:
            _record(request, "revoked", writer, old=True)
            messages.success(request, f"{api_keys.revoke_old(writer)} old keys of {writer} stop within 5 seconds.")

    @admin.action(description="Revoke all keys", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[Writer]) -> None:
        for writer in queryset:
            _record(request, "revoked", writer)
            messages.success(request, f"{api_keys.revoke(writer)} keys of {writer} stop within 5 seconds.")

    @admin.display(description="valid keys")
    def valid_keys(self, writer: Writer) -> int:
        now = timezone.now()
        return sum(key.revoked_at is None and (key.expires_at or now) >= now for key in writer.keys.all())

    @admin.display(description="used on this UTC day")
    def used_today(self, writer: Writer) -> str:
        """What counts against the quotas; events are counted where the writer has a quota or all have a rate."""
        used = limits.usage(writer.name)
        if used is None:
            sent = "events, bytes and epochs are not known: Redis does not answer"
        elif not used.events and not limits.are_counted(writer.quotas):
            sent = "events, bytes and epochs are not counted: nothing limits them"
        else:
            sent = f"{used.events:,} events, {used.bytes:,} bytes, {used.epochs:,} epochs"
        opened, exports = throttles.open_manifests(writer.name), throttles.exports_today(writer.name)
        return f"{sent}; {opened:,} open manifests; {exports:,} exports"

    @admin.display(description="requests with a key that has ended")
    def ended_keys(self, writer: Writer) -> str:
        """Whose client goes on with an old key loses what it sends."""
        days = Rejection.objects.filter(writer=writer.name, reason=rejections.ENDED_KEY).order_by("-day")
        counts = [
            f"{day['requests']:,} on {day['day']}" for day in days.values("day").annotate(requests=Sum("events"))[:7]
        ]
        return f"{', '.join(counts)} (UTC), each answered 401: give its clients the new key" if counts else "none"

    scope_names = column("scopes", lambda writer: ", ".join(writer.scopes))

    def _rotate(self, request: HttpRequest, writers: QuerySet[Writer], overlap: timedelta) -> HttpResponse:
        keys, hours = [], overlap // timedelta(hours=1)
        for writer in writers:
            _record(request, "rotated", writer, overlap_hours=hours)
            keys.append((writer, api_keys.rotate(writer, overlap=overlap)))
        ends = f"work until {timezone.now() + overlap:%Y-%m-%d %H:%M}Z" if overlap else "stop within 5 seconds"
        messages.success(request, f"The old keys {ends}.")
        return self._show(request, keys)

    def _show(self, request: HttpRequest, keys: list[tuple[Writer, str]]) -> HttpResponse:
        """Show new keys on the page that answers the form: nothing that the browser or the session keeps has them."""
        context = {**self.admin_site.each_context(request), "opts": self.opts, "title": "New keys", "keys": keys}
        if len(keys) == 1:
            writer = keys[0][0]
            context |= connect.guide(request, reads="read" in writer.scopes)
            context["first"] = connect.first_event(writer.name)
        return TemplateResponse(request, "admin/audit/writer/keys.html", context)


def _record(request: HttpRequest, act: str, writer: Writer, **facts: Any) -> None:
    actor = request.user.get_username()
    trail.add(f"audit.writer.{act}", actor=actor, correlation=f"writer-{writer.name}", name=writer.name, **facts)
