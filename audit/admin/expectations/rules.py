"""Rules about events that must come, and their waivers: made by people, recorded first, never deleted."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from audit.admin.base import ReadOnly, RecordedFirst, RuleAdmin
from audit.admin.display import column, time_column
from audit.expectations import rules
from audit.models import Awaited, Expectation, Unmet, Waiver

LOCAL_TIME = "%Y-%m-%dT%H:%M"
REASON_CHARACTERS = 60
FIELDS = (
    *("name", "kind", "why", "when_types", "expect_types"),
    *("writer", "category", "within_s", "least", "active", "inactive_because"),
)
ABOUT = ("expects", "counts_from", "pack", "created", "changed")
FEW_LINES = forms.Textarea(attrs={"rows": 3, "cols": 80})


class TypesField(forms.CharField):
    widget = forms.Textarea(attrs={"rows": 4, "cols": 60})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> list[str]:
        return str(super().clean(value)).split()


class ExpectationForm(forms.ModelForm):
    when_types = TypesField(
        required=False, help_text="Event types that begin it, one a line; gateway.* is all that begins so."
    )
    expect_types = TypesField(help_text="Event types of which one must come, one a line.")

    class Meta:
        model = Expectation
        fields = FIELDS
        widgets = {"why": FEW_LINES, "inactive_because": FEW_LINES}
        labels = {"within_s": "Within (seconds)", "least": "At least, each day"}
        help_texts = {
            "writer": "Only events of this writer; a rule about days needs it.",
            "category": "Only events of this category.",
            "within_s": "Up to 7776000, which is 90 days; not for a rule about days.",
            "least": "Only for a rule about days.",
            "inactive_because": "A rule that is not active needs a reason.",
        }


@admin.register(Expectation)
class ExpectationAdmin(RuleAdmin):
    """Nobody deletes a rule: findings name it. A rule that is changed to ask for something else starts over."""

    form = ExpectationForm
    list_display = ("name", "expects", "state", "awaited_now", "open_now", "met_so_far", "pack")
    list_filter = ("active", "kind")
    search_fields = ("name", "why")
    search_help_text = "A part of the name, or of why it matters"
    title = "Expectations"
    says = (
        "A rule says which record has to follow which, and within what time. What did not follow is an unmet "
        "expectation until a person explains it."
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Expectation | None = None) -> tuple[str, ...]:
        return ("name", *ABOUT) if obj else ()

    def get_fields(self, request: HttpRequest, obj: Expectation | None = None) -> tuple[str, ...]:
        return (*FIELDS, *(ABOUT if obj else ()))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Expectation]:
        unmet = Unmet.objects.filter(closed_at=None, explained_at=None)
        rules: QuerySet[Expectation] = super().get_queryset(request)
        return rules.annotate(awaiting=_count(Awaited.objects.all()), open_unmet=_count(unmet))

    def save_model(self, request: HttpRequest, obj: Expectation, form: Any, change: bool) -> None:
        version = obj.version
        if rules.save(obj, by=request.user.get_username()) == "changed" and obj.version != version:
            messages.warning(request, "Rule changed. It applies to events sealed from now on.")

    expects = column("in words", lambda rule: rule.words)
    awaited_now = column("awaited now", lambda rule: f"{rule.awaiting:,}", "awaiting")

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        # Who makes the rules need not see what they find.
        shown = "open_now" if request.user.has_perm("audit.view_unmet") else "open_count"
        return tuple(shown if name == "open_now" else name for name in self.list_display)

    open_count = column("open", lambda rule: f"{rule.open_unmet:,}", "open_unmet")

    @admin.display(description="open", ordering="open_unmet")
    def open_now(self, rule: Any) -> SafeString | str:
        if not rule.open_unmet:
            return "0"
        url = reverse("admin:audit_unmet_changelist")
        return format_html('<a href="{}?q={}&amp;state=open">{}</a>', url, rule.name, f"{rule.open_unmet:,}")

    met_so_far = column("met so far", lambda rule: "not counted" if rule.kind == "has" else f"{rule.met:,}", "met")
    created = time_column("created", "created_at", sortable=False)
    changed = time_column("changed", "changed_at", sortable=False)

    @admin.display(description="counts")
    def counts_from(self, rule: Expectation) -> str:
        days = f", and each day from {rule.next_day} on" if rule.next_day else ""
        return f"what was sealed at place {rule.first_leaf:,} of the log or later{days}"


class WaiverForm(forms.ModelForm):
    class Meta:
        model = Waiver
        fields = ("expectation", "correlation", "writer", "begins_at", "ends_at", "reason")
        field_classes = {"begins_at": forms.DateTimeField, "ends_at": forms.DateTimeField}
        widgets = {"reason": FEW_LINES} | {
            name: forms.DateTimeInput(attrs={"type": "datetime-local"}, format=LOCAL_TIME)
            for name in ("begins_at", "ends_at")
        }


@admin.register(Waiver)
class WaiverAdmin(RecordedFirst, ReadOnly):
    """Made once, with a reason; then it stands."""

    form = WaiverForm
    list_display = ("expectation", "covers", "begins", "ends", "by", "short_reason")
    list_select_related = ("expectation",)
    readonly_fields = ("by", "made_at")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("audit.add_waiver"))

    def get_fields(self, request: HttpRequest, obj: Waiver | None = None) -> tuple[str, ...]:
        return (*WaiverForm.Meta.fields, *(self.readonly_fields if obj else ()))

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "expectation" and field is not None:
            field.widget.can_add_related = field.widget.can_change_related = field.widget.can_view_related = False
        return field

    def save_model(self, request: HttpRequest, obj: Waiver, form: Any, change: bool) -> None:
        explained = rules.waive(obj, by=request.user.get_username())
        messages.success(request, f"Recorded. It explains {explained:,} that were open.")

    @admin.display(description="of")
    def covers(self, waiver: Waiver) -> str:
        parts = [waiver.correlation, f"writer {waiver.writer}" if waiver.writer else ""]
        return ", ".join(part for part in parts if part) or "everything"

    begins = time_column("from (UTC)", "begins_at")
    ends = time_column("until (UTC)", "ends_at")
    short_reason = column(
        "reason",
        lambda waiver: (
            waiver.reason if len(waiver.reason) <= REASON_CHARACTERS else f"{waiver.reason[:REASON_CHARACTERS]}…"
        ),
    )


def _count(rows: QuerySet[Any]) -> Coalesce:
    mine = rows.filter(expectation=OuterRef("pk")).order_by().values("expectation").annotate(count=Count("pk"))
    return Coalesce(Subquery(mine.values("count"), output_field=IntegerField()), 0)
