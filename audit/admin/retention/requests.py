"""Requests about retention: asked for by one person, decided by another."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django_q.tasks import async_task

from audit.access import client
from audit.admin.base import ReadOnly, post_act
from audit.admin.charts.queue import bars
from audit.admin.display import badge, column, number, time_column, time_tag
from audit.admin.frame import navigation
from audit.errors import AuditError, Invalid
from audit.formats import grammar, times
from audit.ingest.trail import Where
from audit.models import RetentionRequest
from audit.postgres import sql
from audit.retention import approval, archived, legal_holds, policy, purge
from audit.retention.purge import Count

DECISIONS = {
    "": ("pending", "waiting for approval"),
    "approved": ("ok", "approved"),
    "declined": ("warning", "declined"),
    "withdrawn": ("ok", "withdrawn"),
}
MONTHS_DRAWN = 24
ASK, APPROVE = "audit.ask_retention", "audit.approve_retention"
# What a request asks for, in words; how it is decided, and taken back.
WORDS: dict[str, Callable[[RetentionRequest], str]] = {
    "policy": lambda row: f"{row.category or 'every other category'}: {row.days:,} days",
    "purge": lambda row: f"{_records(purge.planned(row))} due {row.cut:%Y-%m-%d}",
    "release": lambda row: grammar.text(legal_holds.named(legal_holds.held_by(row)).query()),
}
DECIDE: dict[str, Callable[..., Any]] = {
    "policy": policy.decide,
    "release": legal_holds.decide_release,
    "purge": purge.decide,
}
WITHDRAW: dict[str, Callable[..., Any]] = {
    "policy": policy.withdraw,
    "release": legal_holds.withdraw_release,
    "purge": purge.withdraw,
}
# Who may ask for each, and so take it back.
MAY_ASK = {"policy": ASK, "purge": ASK, "release": "audit.place_legalhold"}


@admin.register(RetentionRequest)
class RetentionRequestAdmin(ReadOnly):
    change_list_template = "admin/audit/retentionrequest/list.html"
    list_display = ("what", "asked", "asked_by", "reason", "state", "decided_by")
    list_display_links = ("what",)
    list_select_related = ("decision", "hold")
    views: ClassVar = {
        "policy/": "policy",
        "purge/": "purge",
        "<int:pk>/run/": "run",
        "<int:pk>/decide/": "decide",
        "<int:pk>/withdraw/": "withdraw",
    }

    def get_queryset(self, request: HttpRequest) -> QuerySet[RetentionRequest]:
        seen = Q(hold=None) | Q(hold__in=legal_holds.visible())
        return RetentionRequest.objects.filter(seen).select_related("decision", "hold", "run")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        floors = [(floor, time_tag(floor.applies_from)) for floor in policy.current()]
        context = {"title": navigation.name_of(self.opts), "floors": floors}
        return super().changelist_view(request, context | (extra_context or {}))

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        row = self.row_or_404(request, object_id)
        is_own = request.user.get_username() == row.asked_by
        return self.page(
            request,
            "detail",
            title=f"{row.get_kind_display().capitalize()}: {self.what(row)}",
            row=row,
            what=self.what(row),
            **(_of_purge(row, request) if row.kind == "purge" else {}),
            now_days=policy.days_of(row.category) if row.kind == "policy" else None,
            asked_at=time_tag(row.asked_at),
            decided_at=row.decided and time_tag(row.decided.decided_at),
            state=self.state(row),
            may_decide=row.decided is None and not is_own and request.user.has_perm(APPROVE),
            may_withdraw=row.decided is None and is_own and request.user.has_perm(MAY_ASK[row.kind]),
        )

    def policy_view(self, request: HttpRequest) -> HttpResponse:
        """The form, and the act. A form that is refused keeps what was written."""
        if not request.user.has_perm(ASK):
            raise PermissionDenied
        given = {
            name: request.POST.get(name, "").replace("\x00", "�").strip() for name in ("category", "days", "reason")
        }
        form: dict[str, Any] = {"reason_max": approval.REASON_MAX, "floors": policy.current(), **given}
        if request.method != "POST":
            return self.page(request, "policy", title="Change a floor", **form)

        def ask() -> HttpResponse:
            by, where = request.user.get_username(), _where(request)
            asked = policy.ask(given["category"], number(given["days"]), reason=given["reason"], by=by, where=where)
            return redirect("admin:audit_retentionrequest_change", asked.pk)

        success = "It is requested, and that is recorded: a second person has to approve it."
        back = reverse("admin:audit_retentionrequest_policy")
        return post_act(
            request,
            ASK,
            ask,
            success,
            back=back,
            refusal="Nothing is requested",
            refused=lambda error: self.page(request, "policy", title="Change a floor", **form),
        )

    def purge_view(self, request: HttpRequest) -> HttpResponse:
        """What is due at a time, counted and drawn, and the request to remove it."""
        if not request.user.has_perm(ASK):
            raise PermissionDenied
        sent = request.POST if request.method == "POST" else request.GET
        given = {
            name: sent.get(name, "").replace("\x00", "\ufffd").strip() for name in ("cut", "reason", "without_archive")
        }
        counted = None
        form: dict[str, Any] = {"reason_max": approval.REASON_MAX, **given}
        try:
            cut = _cut(given["cut"])
            counted = purge.count(cut)
            if "ask" in request.POST:
                by, where = request.user.get_username(), _where(request)
                why, why_not = given["reason"], given["without_archive"]
                asked = purge.ask(cut, reason=why, by=by, without_archive=why_not, where=where)
                messages.success(request, "It is requested, and that is recorded: a second person has to approve it.")
                return redirect("admin:audit_retentionrequest_change", asked.pk)
        except AuditError as error:
            words = "; ".join(error.errors.values()) if isinstance(error, Invalid) else str(error)
            messages.error(request, f"Nothing is requested: {words}")
        if counted is not None:
            form |= {"counted": counted, **_drawn(counted.counts)}
        return self.page(request, "purge", title="Plan a purge", **form)

    def run_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Begin a purge that was approved, or go on with it: a worker does it."""
        row = self.row_or_404(request, pk)

        def run() -> None:
            if row.kind != "purge" or not row.is_approved:
                raise purge.NotApproved
            archived.require(row)
            async_task("audit.tasks.continue_purge", row.pk, request.user.get_username())

        success = "It begins within a minute, and that is recorded: this page shows how far it has come."
        return post_act(request, ASK, run, success, back=_page(pk))

    def decide_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        def act() -> None:
            row, by = self._waiting_or_404(request, pk), request.user.get_username()
            DECIDE[row.kind](row, approve="approve" in request.POST, by=by, where=_where(request))

        success, back = "It is decided, and that is recorded.", _page(pk)
        return post_act(request, APPROVE, act, success, back=back)

    def withdraw_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        row = self._waiting_or_404(request, pk)

        def act() -> None:
            WITHDRAW[row.kind](row, by=request.user.get_username(), where=_where(request))

        return post_act(request, MAY_ASK[row.kind], act, "The request is withdrawn: nothing changes.", back=_page(pk))

    def _waiting_or_404(self, request: HttpRequest, pk: int) -> RetentionRequest:
        self.require_view(request)
        row = self.get_queryset(request).filter(pk=pk, decision=None).first()
        if row is None:
            raise Http404("Nothing waits for a decision here.")
        return row

    what = column("what", lambda row: WORDS[row.kind](row))
    asked = time_column("requested (UTC)", "asked_at")
    state = column("state", lambda row: badge(*_state(row)))
    decided_by = column("decided by", lambda row: row.decided.decided_by if row.decided else "—")


def _state(row: RetentionRequest) -> tuple[str, str]:
    """What was decided; of a purge that was begun, how far it is."""
    if (run := getattr(row, "run", None)) is not None:
        return ("ok", "records removed") if run.ended_at else ("pending", "records are being removed")
    return DECISIONS[row.decided.decision if row.decided else ""]


def _records(count: int) -> str:
    return f"{count:,} record{'' if count == 1 else 's'}"


def _cut(text: str) -> datetime:
    """The time at which what is removed has to be due; now where none is given. Raises `Invalid`."""
    try:
        return times.read_time(text) if text else sql.now()
    except ValueError as error:
        raise Invalid({"cut": f"{text!r} {error}"}) from None


def _drawn(counts: Sequence[Count]) -> dict[str, Any]:
    """What is due, by month as a chart and by category as a table."""
    months, categories = dict[str, int](), dict[str, list[int]]()
    for count in counts:
        months[count.month] = months.get(count.month, 0) + count.due
        due, held = categories.get(count.category, [0, 0])
        categories[count.category] = [due + count.due, held + count.held]
    # As many months as there is room for, and the rest in one.
    ordered = sorted(months.items())
    shown = dict(ordered[-MONTHS_DRAWN:])
    if earlier := sum(number for _, number in ordered[:-MONTHS_DRAWN]):
        shown = {f"before {min(shown)}": earlier, **shown}
    return {"chart": bars("due, by month of storage", shown), "categories": sorted(categories.items())}


def _of_purge(row: RetentionRequest, request: HttpRequest) -> dict[str, Any]:
    run, certificate = getattr(row, "run", None), purge.certificate(row)
    counts = [Count(**count) for count in row.counts or ()]
    return {
        "run": run,
        "ended_at": run and time_tag(run.ended_at),
        "certificate": certificate,
        "cut": time_tag(row.cut),
        "planned": purge.planned(row),
        "held": sum(count.held for count in counts),
        **_of_archives(row),
        "may_run": row.is_approved and certificate is None and request.user.has_perm(ASK),
        **_drawn(counts),
    }


def _of_archives(row: RetentionRequest) -> dict[str, Any]:
    """Which archives hold what the plan would remove, and what none holds."""
    assert row.first is not None and row.size is not None
    if row.without_archive:
        return {"archives": [], "lacking": []}  # says why on its page
    held = [(each, each.last - 1, time_tag(each.checked_at)) for each in archived.holding(row.first, row.size)]
    ended = getattr(row, "run", None) is not None and row.run.ended_at is not None
    lacking = [] if ended else [(first, last - 1) for first, last in archived.lacking(row)]
    return {
        "archives": held,
        "lacking": lacking[: archived.MOST_NAMED],
        "lacking_end": lacking[0][1] + 1 if lacking else None,
        "lacking_more": len(lacking) - archived.MOST_NAMED,
    }


def _where(request: HttpRequest) -> Where:
    return Where(address=client.address(request))


def _page(pk: int) -> str:
    return reverse("admin:audit_retentionrequest_change", args=[pk])
