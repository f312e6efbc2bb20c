"""What was found to be missing, of any kind: filtered by its state, taken care of, explained."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from audit import visibility
from audit.admin.base import ReadOnly
from audit.admin.display import badge, column, number, time_tag
from audit.completeness import explain
from audit.errors import AuditError
from audit.models import Found

STATES = {"open": "error", "explained": "warning", "closed": "ok"}


class StateFilter(admin.SimpleListFilter):
    """By what became of it."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state, state) for state in Found.STATES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case "open":
                return queryset.filter(closed_at=None, explained_at=None)
            case "explained":
                return queryset.filter(closed_at=None, explained_at__isnull=False)
            case "closed":
                return queryset.filter(closed_at__isnull=False)
        return queryset


class FoundAdmin(ReadOnly):
    """A list and a page for each; the page posts to `act` what `explanation.html` holds."""

    list_filter: ClassVar[tuple[Any, ...]] = (StateFilter,)

    def get_urls(self) -> list[URLPattern]:
        name = f"audit_{self.opts.model_name}_act"
        return [path("<int:pk>/act/", self.admin_site.admin_view(self.act_view), name=name), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = self.found_or_404(object_id)
        context = self.page_context(request, found) | self.detail(request, found)
        return TemplateResponse(request, f"admin/audit/{self.opts.model_name}/detail.html", context)

    def detail(self, request: HttpRequest, found: Any) -> dict[str, Any]:
        """What the page of one shows beside what all have; its title at least."""
        return {"title": str(found)}

    def act_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Take care of it, or explain it; the act is recorded first."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not request.user.has_perm("audit.explain_gap"):
            raise PermissionDenied
        found, by = self.found_or_404(pk), request.user.get_username()
        try:
            if request.POST.get("act") == "own":
                explain.assign(found, by=by)
            else:
                explain.explain(found, request.POST.get("explanation", ""), by=by)
        except AuditError as error:
            messages.error(request, f"Nothing was done: {error}")
        else:
            messages.success(request, "Kept, and recorded.")
        return redirect(f"admin:audit_{self.opts.model_name}_change", pk)

    def found_or_404(self, pk: int | str) -> Any:
        """The one with this key."""
        one = self.get_queryset_for_page().filter(pk=number(str(pk))).first()
        if one is None:
            raise Http404(f"There is no such {self.opts.verbose_name}.")
        return one

    def get_queryset_for_page(self) -> QuerySet[Any]:
        """All of them, with what a page needs."""
        related = self.list_select_related
        found: QuerySet[Any] = self.model.objects.select_related(*(related if isinstance(related, tuple) else ()))
        return self._told(found)

    def page_context(self, request: HttpRequest, found: Any) -> dict[str, Any]:
        """What every page of a finding shows."""
        return {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "found": found,
            "state": self.state_badge(found),
            "found_at": time_tag(found.found_at),
            "closed_at": time_tag(found.closed_at),
            "explained_at": time_tag(found.explained_at),
            "act_url": f"admin:audit_{self.opts.model_name}_act",
        }

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        found: QuerySet[Any] = super().get_queryset(request)
        return self._told(found).defer(*self.model.LARGE)

    def _told(self, found: QuerySet[Any]) -> QuerySet[Any]:
        """Those that may be told now; what is missing of no writer is everybody's."""
        return visibility.figures(found, self.model.WRITER) if self.model.WRITER else found

    state_badge = column("state", lambda found: badge(STATES[found.state], found.state))
