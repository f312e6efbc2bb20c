"""Completeness: what never came, of each writer, down to single numbers; and what cannot be seen."""

from datetime import UTC, datetime
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from audit.admin.completeness.discrepancy import DiscrepancyAdmin
from audit.admin.display import badge, column, time_column, time_tag
from audit.completeness import findings, manifests, summary
from audit.models import Gap, Manifest, Record

HOLES_SHOWN = 200
OUTCOMES = {"complete": "ok", "incomplete": "error", "differs": "error"}
VERDICTS = {"complete": "ok", "partly covered": "warning", "not covered": "warning", "silent": "warning"}

# Where each cause is shown: on this page, or on one beside it.
CAUSES = {
    "gaps": "#gaps",
    "numbers": "#writers",
    "manifests": "../manifest/?state=open",
    "silent": "#writers",
    "unmet": "#unmet",
}


@admin.register(Gap)
class GapAdmin(DiscrepancyAdmin):
    list_display = ("numbers", "writer", "epoch", "state_badge", "missing_of", "made_after", "made_before", "detected")
    search_fields = ("numbering__writer",)
    search_help_text = "Writer"
    list_select_related = ("numbering",)
    change_list_template = "admin/audit/gap/list.html"

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        result = summary.summarize()
        context = {
            "title": "Completeness",
            "summary": result,
            "writers": [(each, badge(VERDICTS.get(each.verdict, "error"), each.verdict)) for each in result.writers],
            "until": time_tag(result.until),
            "causes": [(words, CAUSES[kind]) for kind, words in result.causes],
            "spans": [f"last {days} days" if days > 1 else "last 24 h" for days in findings.SPANS_DAYS],
            "findings": _findings(request),
            "unmet": [(rule, time_tag(rule.since)) for rule in summary.unmet_by_rule()],
        }
        return super().changelist_view(request, context | (extra_context or {}))

    def detail(self, request: HttpRequest, gap: Gap) -> dict[str, Any]:
        holes = list(gap.holes.all()[: HOLES_SHOWN + 1])
        return {
            "title": f"Gap {gap}",
            "size": gap.last - gap.first + 1,
            "holes": [(hole, time_tag(hole.after_at), time_tag(hole.before_at)) for hole in holes[:HOLES_SHOWN]],
            "more_holes": len(holes) > HOLES_SHOWN,
            "late_at": time_tag(gap.last_late_at),
            "neighbours": _neighbours(gap) if request.user.has_perm("audit.view_record") else [],
        }

    numbers = column(
        "numbers", lambda gap: f"{gap.first}" if gap.first == gap.last else f"{gap.first} to {gap.last}", "first"
    )
    writer = column("writer", lambda gap: gap.numbering.writer, "numbering__writer")
    epoch = column("epoch", lambda gap: gap.numbering.epoch or "—")
    missing_of = column("missing now", lambda gap: f"{gap.missing:,} of {gap.last - gap.first + 1:,}", "missing")
    made_after = column(
        "made after (UTC)", lambda gap: time_tag(gap.after_at) if gap.after_at else "the beginning", "after_at"
    )
    made_before = time_column("made before (UTC)", "before_at")

    @admin.display(description="detected (UTC)", ordering="found_at")
    def detected(self, gap: Gap) -> SafeString:
        note = '{} <span class="quiet">(heartbeat)</span>' if gap.tail else "{}"
        return format_html(note, time_tag(gap.found_at))


@admin.register(Manifest)
class ManifestAdmin(DiscrepancyAdmin):
    list_display = ("stated", "writer", "window", "outcome_badge", "came_of", "state_badge")
    search_fields = ("writer__exact",)
    search_help_text = "Writer"

    def detail(self, request: HttpRequest, manifest: Manifest) -> dict[str, Any]:
        return {
            "title": f"Manifest of {manifest}",
            "outcome": self.outcome_badge(manifest),
            "since": time_tag(manifest.since),
            "until": time_tag(manifest.until),
            "looked_at": time_tag(manifest.looked_at),
            "missing": manifests.missing(manifest),
        }

    stated = time_column("stated (UTC)", "found_at")
    window = column(
        "window (UTC)",
        lambda manifest: format_html("{} to {}", time_tag(manifest.since), time_tag(manifest.until)),
        "since",
    )
    outcome_badge = column("what came", lambda manifest: badge(OUTCOMES[manifest.outcome], manifest.outcome))
    came_of = column("events", lambda manifest: f"{manifest.came:,} of {manifest.count:,}", "came")


def _findings(request: HttpRequest) -> list[tuple[str, list[tuple[int, str]]]]:
    """For each kind of finding how many are open, by when they were detected, each with its list; the sum last."""
    counts = findings.by_span(datetime.now(UTC))
    rows = []
    for kind, numbers in counts.items():
        address = ""
        if request.user.has_perm(f"audit.view_{kind._meta.model_name}"):
            address = f"{reverse(f'admin:audit_{kind._meta.model_name}_changelist')}?state=open"
        within = [f"{address}&detected={days}" if address else "" for days in findings.SPANS_DAYS]
        anchor = "#gaps" if kind is Gap and address else ""
        rows.append((findings.KINDS[kind], [(n, a + anchor) for n, a in zip(numbers, [*within, address], strict=True)]))
    sums = [(sum(column), "") for column in zip(*counts.values(), strict=True)]
    return [*rows, ("all together", sums)]


def _neighbours(gap: Gap) -> list[tuple[str, Record]]:
    records = Record.objects.filter(writer=gap.numbering.writer, source_epoch=gap.numbering.epoch or None)
    sides = (("before", gap.first - 1), ("after", gap.last + 1))
    return [(side, record) for side, seq in sides for record in records.filter(source_seq=seq)[:1]]
