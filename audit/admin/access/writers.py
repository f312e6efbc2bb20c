"""The page of writers and their keys. A key is shown once, when it is created."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from audit.access import api_keys
from audit.ingest import trail
from audit.models import Writer, WriterKey


class KeyInline(admin.TabularInline):
    model = WriterKey
    fields = readonly_fields = ("prefix", "created_at", "expires_at", "revoked_at")
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Writer)
class WriterAdmin(admin.ModelAdmin):
    """Nobody deletes a writer: its name is in records."""

    list_display = ("name", "scope_names", "created_at", "valid_keys")
    inlines = (KeyInline,)
    actions = ("rotate", "revoke")

    def has_delete_permission(self, request: HttpRequest, obj: Writer | None = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Writer | None = None) -> tuple[str, ...]:
        return ("name", "created_at") if obj else ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Writer]:
        return super().get_queryset(request).prefetch_related("keys")

    def save_model(self, request: HttpRequest, obj: Writer, form: Any, change: bool) -> None:
        reads = {"reads_writers": obj.reads_writers, "reads_categories": obj.reads_categories}
        _record(request, "changed" if change else "created", obj, scopes=obj.scopes, **reads)
        super().save_model(request, obj, form, change)
        if change:
            api_keys.publish()
        else:
            _show(request, obj, api_keys.issue(obj))

    @admin.action(description="Rotate: a new key, the old ones stop", permissions=["change"])
    def rotate(self, request: HttpRequest, queryset: QuerySet[Writer]) -> None:
        for writer in queryset:
            _record(request, "rotated", writer)
            _show(request, writer, api_keys.rotate(writer))

    @admin.action(description="Revoke all keys", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[Writer]) -> None:
        for writer in queryset:
            _record(request, "revoked", writer)
            messages.success(request, f"{api_keys.revoke(writer)} keys of {writer} stop within 5 seconds.")

    @admin.display(description="scopes")
    def scope_names(self, writer: Writer) -> str:
        return ", ".join(writer.scopes)

    @admin.display(description="valid keys")
    def valid_keys(self, writer: Writer) -> int:
        now = timezone.now()
        return sum(key.revoked_at is None and (key.expires_at or now) >= now for key in writer.keys.all())


def _record(request: HttpRequest, act: str, writer: Writer, **facts: Any) -> None:
    actor = request.user.get_username()
    trail.add(f"audit.writer.{act}", actor=actor, correlation=f"writer-{writer.name}", name=writer.name, **facts)


def _show(request: HttpRequest, writer: Writer, key: str) -> None:
    messages.warning(request, f"The key of {writer}, shown only now: {key}")
