"""Erasures: rules of what can be erased, and requests: made by one person, decided by another, carried out at once."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from audit.access import client
from audit.admin.base import ReadOnly, RuleAdmin, post_act
from audit.admin.display import badge, column, time_column, time_tag
from audit.errors import AuditError, Invalid
from audit.evidence.erasure import elsewhere, requests
from audit.evidence.erasure.requests import Asked, Preview
from audit.evidence.erasure.rules import save_rule
from audit.ingest.trail import Where
from audit.models import ErasureRequest, ErasureRule
from audit.models.erasure.requests import Progress, progress_of

ASK, DECIDE = "audit.ask_erasure", "audit.decide_erasure"
# What a request that is decided does while the person waits; the schedule does the rest.
AT_ONCE_S = 3.0
RECORDS_SHOWN = 50
STATES = {
    "waiting": ("pending", "waiting for a second person"),
    "refused": ("warning", "refused"),
    "approved": ("pending", "under way"),
    "done": ("ok", "done"),
}
KINDS = (
    ("value", "whose members have this value"),
    ("query", "that this query finds"),
    ("ids", "with these ids"),
)
BASES = (
    "GDPR Art. 17(1)(a): no longer necessary",
    "GDPR Art. 17(1)(b): consent withdrawn",
    "GDPR Art. 17(1)(c): objection",
    "GDPR Art. 17(1)(d): unlawfully processed",
    "GDPR Art. 17(1)(e): legal obligation to erase",
)
GROUNDS = (
    "GDPR Art. 17(3)(b): a law asks for the record",
    "GDPR Art. 17(3)(e): legal claims",
)


@admin.register(ErasureRule)
class ErasureRuleAdmin(RuleAdmin):
    """A change holds for events that are accepted from then on, within seconds."""

    fields = ("name", "path", "event_type", "only_sensitive", "reason", "active")
    list_display = ("name", "path", "event_type", "only_sensitive", "state")
    title = "Rules of erasure"
    says = (
        "A rule names a member of events to come whose value can be erased one day: the value stands beside the "
        "record, and the record keeps a commitment to it. What was stored before its rule cannot be erased."
    )

    def history_of(self, row: Any) -> str:
        return f"erasure_rule-{row.name}"

    def save_model(self, request: HttpRequest, obj: ErasureRule, form: Any, change: bool) -> None:
        save_rule(obj, by=request.user.get_username())


@admin.register(ErasureRequest)
class ErasureRequestAdmin(ReadOnly):
    list_display = ("name", "state", "basis", "asked", "asked_by", "decided_by")
    change_list_template = "admin/audit/erasurerequest/list.html"
    views: ClassVar[dict[str, str]] = {"ask/": "ask", "<int:pk>/decide/": "decide"}

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("decision")

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        row, name = self.row_or_404(request, object_id), request.user.get_username()
        decision, progress = row.decided, progress_of([row.pk]).get(row.pk, Progress())
        return self.page(
            request,
            "detail",
            title=f"Erasure {row.pk}",
            erasure=row,
            records=row.records[:RECORDS_SHOWN],
            asked_at=time_tag(row.asked_at),
            decision=decision,
            decided_at=time_tag(decision.decided_at) if decision else "",
            state=self.state(row),
            progress=progress,
            done_at=time_tag(progress.done_at) if progress.done_at else "",
            found=requests.would_erase(row) if decision is None else None,
            elsewhere=elsewhere.places(row.records),
            grounds=GROUNDS,
            may_decide=decision is None and request.user.has_perm(DECIDE) and name != row.asked_by,
        )

    def ask_view(self, request: HttpRequest) -> HttpResponse:
        """The form, what it would erase, and the act. A form that is refused keeps what was written."""
        if not request.user.has_perm(ASK):
            raise PermissionDenied
        given = request.POST if request.method == "POST" else request.GET
        asked, found = _asked(given), None
        if request.method == "POST":
            try:
                if "ask" in request.POST:
                    made = requests.ask(asked, by=request.user.get_username(), where=_where(request))
                    messages.success(request, "It is asked for, and that is recorded. A second person decides.")
                    return redirect("admin:audit_erasurerequest_change", made.pk)
                found = requests.preview(asked)
            except AuditError as error:
                messages.error(request, f"Nothing was asked for: {_words(error)}")
        return self.page(request, "ask", **_form(asked, found))

    def decide_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        def act() -> str:
            row = ErasureRequest.objects.filter(pk=pk).first()
            if row is None or row.decided is not None:
                raise Http404("Nothing waits for a decision here.")
            approve, by = "approve" in request.POST, request.user.get_username()
            ground = request.POST.get("ground", "")
            try:
                requests.decide(row, approve=approve, ground="" if approve else ground, by=by, where=_where(request))
            except Invalid as error:
                raise AuditError(_words(error)) from None
            if not approve:
                return "It is refused, and that is recorded with its ground."
            progress = requests.carry_out(row, seconds=AT_ONCE_S)
            return "It is approved, and done." if progress.done_at else "It is approved, and under way."

        back = reverse("admin:audit_erasurerequest_change", args=[pk])
        return post_act(request, DECIDE, act, lambda words: words, back=back)

    name = column("erasure", lambda row: f"erasure {row.pk}")
    asked = time_column("requested (UTC)", "asked_at")
    decided_by = column("decided by", lambda row: decision.decided_by if (decision := row.decided) else "—")
    state = column("state", lambda row: _state(row))


def _state(row: ErasureRequest) -> Any:
    return badge(*STATES[row.state(progress_of([row.pk]).get(row.pk, Progress()))])


def _asked(given: Mapping[str, str]) -> Asked:
    texts = {name: given.get(name, "").replace("\x00", "\ufffd").replace("\r\n", "\n") for name in Asked._fields}
    return Asked(**texts)


def _form(asked: Asked, found: Preview | None) -> dict[str, Any]:
    return {
        "title": "Ask for an erasure",
        "asked": asked,
        "kinds": [(kind, words, kind == (asked.kind or "value")) for kind, words in KINDS],
        "bases": BASES,
        "found": found,
        "records": None if found is None else len(found.records),
        "elsewhere": [] if found is None else elsewhere.places(found.records),
        "most": requests.MAX_RECORDS,
    }


def _where(request: HttpRequest) -> Where:
    return Where(address=client.address(request))


def _words(error: AuditError) -> str:
    return (
        "; ".join(f"{name} {text}" for name, text in error.errors.items()) if isinstance(error, Invalid) else str(error)
    )
