"""Pages of verifications and their findings. Runs are started here and done by the worker."""

from typing import Any, ClassVar

import redis
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django_q.tasks import async_task

from audit.admin.base import ReadOnly, post_act
from audit.admin.display import badge, column, time_column, time_tag
from audit.ledger.verify import Verdict, begin
from audit.ledger.verify.result import FAILURES
from audit.models import Finding, Verification
from audit.search import query

SHOWN = 200
CHECKED = {
    "records": "records recomputed from their rows",
    "leaves": "leaves",
    "nodes": "hashes above the leaves",
    "roots": "signed roots that the leaves lead to",
    "checkpoints": "checkpoints with their signatures",
    "cosignatures": "cosignatures",
    "anchored checkpoints": "anchored checkpoints",
    "witnesses": "witnesses queried",
}


@admin.register(Verification)
class VerificationAdmin(ReadOnly):
    list_display = ("started", "verdict_badge", "scope", "covers", "records", "findings_now", "requested_by")
    list_filter = ("scope", "verdict")
    change_list_template = "admin/audit/verification/list.html"

    views: ClassVar = {"start/": "start"}

    def start_view(self, request: HttpRequest) -> HttpResponse:
        correlation = request.POST.get("correlation", "").strip()[:255]

        def act() -> HttpResponse:
            if correlation and not query.sees_whole_correlation(correlation):
                messages.error(request, f"There is no correlation {correlation} of which you may see every record.")
                return redirect("admin:audit_verification_changelist")
            scope = "correlation" if correlation else "all"
            run = begin(scope, correlation_id=correlation, requested_by=request.user.get_username())
            try:
                async_task("audit.tasks.continue_verification", run.pk)
                messages.success(request, "The verification is queued; this page shows how far it is.")
            except redis.RedisError:
                text = "Redis does not answer, so no worker was told: `manage.py verify --resume` does it."
                messages.error(request, text)
            return redirect("admin:audit_verification_change", run.pk)

        return post_act(request, "audit.start_verification", act, back=reverse("admin:audit_verification_changelist"))

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        run = self.row_or_404(request, object_id)
        findings = list(run.findings.all()[: SHOWN + 1])
        return self.page(
            request,
            "detail",
            title=f"Verification {run.pk}",
            run=run,
            verdict=verdict_badge(run),
            covers=self.covers(run),
            started=time_tag(run.started_at),
            ended=time_tag(run.ended_at),
            done=run.position - run.first,
            total=max(run.last - run.first, 1),
            checked=[(text, run.counts[name]) for name, text in CHECKED.items() if run.counts.get(name)],
            findings=findings[:SHOWN],
            has_more=len(findings) > SHOWN,
        )

    started = time_column("started (UTC)", "started_at")
    verdict_badge = column("verdict", lambda run: verdict_badge(run))

    @admin.display(description="covers")
    def covers(self, run: Verification) -> str:
        if run.scope == "correlation":
            return f"correlation {run.correlation_id}"
        return f"leaves {run.first:,} to {run.last - 1:,}" if run.last > run.first else "no leaf"

    records = column("records", lambda run: f"{run.counts.get('records', 0):,}")
    findings_now = column("findings", lambda run: sum(run.counts.get(kind.value, 0) for kind in FAILURES))


@admin.register(Finding)
class FindingAdmin(ReadOnly):
    list_display = ("kind_badge", "subject", "detail", "record_link", "index", "first_seen", "last_seen")
    list_display_links = None
    list_filter = ("kind", "subject")

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        # Who looks after the store need not read records.
        shown = "record_link" if request.user.has_perm("audit.view_record") else "record"
        return tuple(shown if name == "record_link" else name for name in self.list_display)

    record = column("record", lambda finding: finding.record_id or "—")
    kind_badge = column("kind", lambda finding: badge("error", finding.kind), "kind")

    @admin.display(description="record")
    def record_link(self, finding: Finding) -> SafeString | str:
        if finding.record_id is None:
            return "—"
        return format_html('<a href="/admin/audit/record/{0}/change/">{0}</a>', finding.record_id)


def verdict_badge(run: Verification) -> SafeString:
    """The verdict as a badge; a run that goes on has none yet."""
    if run.ended_at is None:
        return badge("pending", "running or cut off")
    if run.verdict == Verdict.VERIFIED.value:
        return badge("ok", run.verdict)
    return badge("warning" if run.verdict == Verdict.NOT_COVERED.value else "error", run.verdict)
