"""Schemas of event types: which hold, and the form that registers another revision."""

import json
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from audit.admin.base import ReadOnly, RecordedFirst
from audit.admin.display import badge, column, number, pretty, time_column
from audit.errors import Invalid
from audit.models import EventSchema
from audit.schemas import language
from audit.schemas.register import check_names, register

SIGNS = {"refuse": "ok", "warn": "warning", "off": "pending"}


class SchemaForm(forms.ModelForm):
    document = forms.CharField(
        label="Schema",
        widget=forms.Textarea(attrs={"rows": 18, "cols": 90, "spellcheck": "false"}),
        help_text='JSON Schema 2020-12 of event_data, such as {"type": "object", "required": ["user"]}. '
        "References stay within it, in no circle; patterns have neither look-around nor back references.",
    )

    class Meta:
        model = EventSchema
        fields = ("event_type", "event_version", "mode", "reason", "document")
        widgets = {"reason": forms.Textarea(attrs={"rows": 2, "cols": 90})}

    def clean_document(self) -> str:
        text: str = self.cleaned_data["document"]
        try:
            language.read(text)
        except Invalid as error:
            raise forms.ValidationError(" ".join(error.errors.values())) from None
        return text

    def clean(self) -> dict[str, Any]:
        said = super().clean() or self.cleaned_data
        try:
            check_names(*(said.get(name) or "" for name in ("event_type", "event_version", "mode", "reason")))
        except Invalid as error:
            for field, text in error.errors.items():
                if field not in self.errors:
                    self.add_error(field, text)
        return said

    def _post_clean(self) -> None:
        """What is valid is said by `register`: the row is made there."""


@admin.register(EventSchema)
class EventSchemaAdmin(RecordedFirst, ReadOnly):
    form = SchemaForm
    list_display = ("name_link", "revision", "mode_badge", "holds", "reason", "made_by", "made")
    list_display_links = None
    list_filter = ("mode",)
    search_fields = ("event_type",)
    search_help_text = "A part of the event type"
    change_list_template = "admin/audit/eventschema/list.html"
    sortable_by = ()

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"title": "Schemas", **(extra_context or {})})

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("audit.add_eventschema"))

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        only_save = {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().add_view(request, form_url, {"title": "Register a schema", **only_save, **(extra_context or {})})

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Begin with the revision that the link names."""
        row = EventSchema.objects.filter(pk=number(request.GET.get("from", ""))).first()
        if row is None:
            return {"mode": "warn"}
        named = {name: getattr(row, name) for name in ("event_type", "event_version", "mode")}
        return named | {"document": pretty(row.document)}

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        row = self.row_or_404(request, object_id)
        revisions = EventSchema.objects.filter(event_type=row.event_type, event_version=row.event_version)
        newest = revisions.order_by("-revision").first()
        return self.page(
            request,
            "detail",
            title=f"Schema of {row}",
            row=row,
            mode=_mode(row),
            newest=newest,
            is_newest=newest == row,
            document=json.dumps(row.document, indent=2, ensure_ascii=False),
        )

    def save_model(self, request: HttpRequest, obj: EventSchema, form: Any, change: bool) -> None:
        said = form.cleaned_data
        row = register(
            said["document"],
            said["event_type"],
            said["event_version"],
            mode=said["mode"],
            reason=said["reason"],
            by=request.user.get_username(),
        )
        obj.pk, obj.revision = row.pk, row.revision

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> HttpResponse:
        messages.success(request, f"{obj.name}, revision {obj.revision}, holds within ten seconds.")
        return redirect(reverse("admin:audit_eventschema_change", args=[obj.pk]))

    name_link = column("event type", lambda row: _link(row))
    mode_badge = column("mode", lambda row: _mode(row))
    holds = column("holds", lambda row: badge("ok", "now") if _is_newest(row) else "—")
    made = time_column("registered (UTC)", "made_at", sortable=False)


def _link(row: EventSchema) -> SafeString:
    return format_html('<a href="{}">{}</a>', reverse("admin:audit_eventschema_change", args=[row.pk]), row.name)


def _mode(row: EventSchema) -> SafeString:
    return badge(SIGNS[row.mode], row.mode)


def _is_newest(row: EventSchema) -> bool:
    later = EventSchema.objects.filter(
        event_type=row.event_type, event_version=row.event_version, revision__gt=row.revision
    )
    return not later.exists()
