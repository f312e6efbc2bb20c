"""What the pages of the admin share: a read-only admin, its views, and acts that a person posts."""

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from audit.admin.display import badge, column, number
from audit.admin.frame import navigation
from audit.errors import AuditError, Invalid
from audit.formats.grammar import Query
from audit.postgres.faults import headline
from dlq.errors import Refused

ResultT = TypeVar("ResultT")


class ReadOnly(admin.ModelAdmin):
    """A list and a page for each row; what else a person may do is a view of its own, named in `views`."""

    actions = None
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    show_full_result_count = False
    # Route to name: the method `NAME_view` is served there, and the address is called `audit_MODEL_NAME`.
    views: ClassVar[dict[str, str]] = {}

    def get_urls(self) -> list[URLPattern]:
        own = [
            path(
                route,
                self.admin_site.admin_view(getattr(self, f"{name}_view")),
                name=f"audit_{self.opts.model_name}_{name}",
            )
            for route, name in self.views.items()
        ]
        return [*own, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"title": navigation.name_of(self.opts), **(extra_context or {})})

    def history_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        raise Http404("Changes are records: search for the name among the records.")

    def delete_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        raise PermissionDenied  # before the row is looked for: not every list has a table

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def page(self, request: HttpRequest, template: str, *, status: int = 200, **context: Any) -> TemplateResponse:
        """A page of the admin from `admin/audit/MODEL/TEMPLATE.html`."""
        context = {**self.admin_site.each_context(request), "opts": self.opts, **context}
        name = f"admin/audit/{self.opts.model_name}/{template}.html"
        return TemplateResponse(request, name, context, status=status)

    def require_view(self, request: HttpRequest, row: Any = None) -> None:
        """Raises `PermissionDenied`."""
        if not self.has_view_permission(request, row):
            raise PermissionDenied

    def row_or_404(self, request: HttpRequest, key: str | int) -> Any:
        """The row with this key, of those that the list may show. Raises `PermissionDenied`, `Http404`."""
        self.require_view(request)
        row = self.get_queryset(request).filter(pk=number(str(key))).first()
        if row is None:
            raise Http404(f"There is no {self.opts.verbose_name} {key}.")
        return row


class HistoryIsRecords(admin.ModelAdmin):
    """What was done to a row is found among the records; `history_of` is the correlation of those of a row."""

    def history_of(self, row: Any) -> str:
        return f"{self.opts.model_name}-{row.name}"

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"title": navigation.name_of(self.opts), **(extra_context or {})})

    def history_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404(f"There is no {self.opts.verbose_name} {object_id}.")
        if not request.user.has_perm("audit.view_record"):
            raise PermissionDenied
        query = Query().with_term("correlation", self.history_of(row))
        return redirect(f"{reverse('admin:audit_record_changelist')}?{urlencode({'q': str(query)})}")


class RecordedFirst(admin.ModelAdmin):
    """A form whose save is recorded first: what cannot be recorded is not done, and the person is told."""

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return super().changeform_view(request, *args, **kwargs)
        except AuditError as error:
            messages.error(request, f"Nothing was done: {_reason(error)}")
            return redirect(request.get_full_path())


class RuleAdmin(HistoryIsRecords, RecordedFirst):
    """Rules that records name: switched off, never deleted, and never renamed."""

    actions = None
    show_facets = admin.ShowFacets.NEVER
    show_full_result_count = False
    change_list_template = "admin/audit/rules.html"
    title: ClassVar[str]
    # What such rules do, above their list.
    says: ClassVar[str] = ""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"title": self.title, "says": self.says, **(extra_context or {})})

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("name",) if obj else ()

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "reason":
            kwargs["widget"] = forms.Textarea(attrs={"rows": 3, "cols": 80})
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    state = column(
        "state", lambda rule: badge("ok", "active") if rule.active else badge("pending", "inactive"), "active"
    )


def post_act(
    request: HttpRequest,
    permission: str,
    act: Callable[[], ResultT],
    success: str | Callable[[ResultT], str] = "",
    *,
    back: str,
    refusal: str = "Nothing was done",
    refused: Callable[[Exception], HttpResponse] | None = None,
) -> HttpResponse:
    """Do what a person posted, tell them what came of it, and redirect to `back`.

    `success` is the message, or makes it of the result ("" for none). An act may return the response itself, such as
    a redirect to what it made. Refusals of the store, of Redis and of PostgreSQL are shown after `refusal`, on the page
    that `refused` makes where what was typed has to stay.
    Raises `PermissionDenied`; another method than POST is answered 405.
    """
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    if not request.user.has_perm(permission):
        raise PermissionDenied
    try:
        result = act()
    except (AuditError, Refused, DatabaseError) as error:
        messages.error(request, f"{refusal}: {_reason(error)}")
        return redirect(back) if refused is None else refused(error)
    if text := success if isinstance(success, str) else success(result):
        messages.success(request, text)
    return result if isinstance(result, HttpResponse) else redirect(back)


def _reason(error: Exception) -> str:
    if isinstance(error, Invalid):
        return "; ".join(f"{field}: {text}" if field else text for field, text in error.errors.items())
    return headline(error) if isinstance(error, DatabaseError) else str(error)
