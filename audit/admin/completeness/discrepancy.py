"""What should be here and is not, of any kind: filtered by its state, assigned, explained."""

from datetime import UTC, datetime
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.functional import cached_property

from audit import visibility
from audit.admin.base import ReadOnly, post_act
from audit.admin.display import badge, column, number, time_column, time_tag
from audit.completeness import explain, findings
from audit.models import Discrepancy

# A list goes no further; what is older is found by its filters, or by its writer.
MOST_LISTED = 10_000
STATES = {"open": "error", "explained": "warning", "closed": "ok"}


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state, state) for state in Discrepancy.STATES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case "open":
                return queryset.filter(closed_at=None, explained_at=None)
            case "explained":
                return queryset.filter(closed_at=None, explained_at__isnull=False)
            case "closed":
                return queryset.filter(closed_at__isnull=False)
        return queryset


class DetectedFilter(admin.SimpleListFilter):
    title = "detected"
    parameter_name = "detected"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(days), f"last {days} days" if days > 1 else "last 24 h") for days in findings.SPANS_DAYS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if (days := self.value()) is None:
            return queryset
        return queryset.filter(found_at__gte=findings.beginning(int(days), datetime.now(UTC)))


class ShownSoFar(Paginator):
    """Pages of the first `MOST_LISTED` rows, and of no more: to count them all takes longer the more there are."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows[:MOST_LISTED].count())


class ListSoFar(ChangeList):
    """Says of a list that it may be longer than it is shown."""

    result_count: int | str  # type: ignore[assignment]

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if self.result_count == MOST_LISTED:
            self.result_count = f"{MOST_LISTED:,}+"


class DiscrepancyAdmin(ReadOnly):
    """A list, and a page for each; the page posts to `act` what `discrepancy/explanation.html` holds."""

    list_filter: ClassVar[tuple[Any, ...]] = (StateFilter, DetectedFilter)
    paginator = ShownSoFar
    views: ClassVar = {"<int:pk>/act/": "act"}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ListSoFar

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        self.require_view(request)
        finding = self._finding(object_id)
        context = {
            "finding": finding,
            "state": self.state_badge(finding),
            "found_at": time_tag(finding.found_at),
            "closed_at": time_tag(finding.closed_at),
            "explained_at": time_tag(finding.explained_at),
            "act_url": f"admin:audit_{self.opts.model_name}_act",
        }
        return self.page(request, "detail", **context | self.detail(request, finding))

    def detail(self, request: HttpRequest, finding: Any) -> dict[str, Any]:
        """What the page of one shows beside what all have; its title at least."""
        return {"title": str(finding)}

    def act_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Assign it to oneself, or explain it; the act is recorded first."""

        def act() -> None:
            finding, by = self._finding(pk), request.user.get_username()
            if request.POST.get("act") == "own":
                explain.assign(finding, by=by)
            else:
                explain.explain(finding, request.POST.get("explanation", ""), by=by)

        back = reverse(f"admin:audit_{self.opts.model_name}_change", args=[pk])
        return post_act(
            request, "audit.explain_gap", act, "Saved, and recorded. The finding remains on record.", back=back
        )

    def _finding(self, pk: int | str) -> Any:
        """The finding with this key, with what its page needs. Raises `Http404`."""
        related = self.list_select_related
        rows = self.model.objects.select_related(*(related if isinstance(related, tuple) else ()))
        finding = self._visible(rows).filter(pk=number(str(pk))).first()
        if finding is None:
            raise Http404(f"There is no such {self.opts.verbose_name}.")
        return finding

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        return self._visible(rows).defer(*self.model.LARGE)

    def _visible(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Findings that the viewer may see; those of no writer are everybody's."""
        return visibility.visible_totals(rows, self.model.WRITER) if self.model.WRITER else rows

    state_badge = column("state", lambda finding: badge(STATES[finding.state], finding.state))
    detected = time_column("detected (UTC)", "found_at")
