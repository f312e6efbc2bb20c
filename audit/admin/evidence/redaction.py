"""Rules of redaction, made by officers and never deleted."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from audit.admin.base import RuleAdmin
from audit.evidence import redaction
from audit.models import RedactionRule

# Appended to the help of the methods.
GUESSED = (
    "Whatever is left, the record's own digest covers the value: one of few possible ones, such as an address or a "
    "date of birth, can be guessed and tried by whoever knows the rest of the record."
)


@admin.register(RedactionRule)
class RedactionRuleAdmin(RuleAdmin):
    """A change holds for bundles that are asked for from then on."""

    fields = ("name", "path", "event_type", "method", "reason", "active")
    list_display = ("name", "path", "event_type", "method", "state")
    title = "Rules of redaction"
    says = (
        "A rule names a member that redacted evidence bundles hide: whoever gets such a bundle can verify the rest. "
        "The records in the store stay as they are."
    )

    def history_of(self, row: Any) -> str:
        return f"redaction-{row.name}"

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "method":
            kwargs["help_text"] = f"{db_field.help_text} {GUESSED}"
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: RedactionRule, form: Any, change: bool) -> None:
        redaction.save_rule(obj, by=request.user.get_username())
