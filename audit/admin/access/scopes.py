"""The page of auditor scopes: which records a person or group may see. Each change is recorded first."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.forms import ModelChoiceField
from django.http import HttpRequest

from audit.admin.base import HistoryIsRecords
from audit.admin.display import column
from audit.ingest import trail
from audit.models import AuditorScope

NOT_ONESELF = "Somebody else has to set a scope for you, or for a group that you are in: each opens what it covers."


@admin.register(AuditorScope)
class ScopeAdmin(HistoryIsRecords):
    """Removing a scope opens everything to its person or group, and is recorded too."""

    list_display = ("whose", "of_writers", "of_categories")
    list_select_related = ("user", "group")
    actions = None

    def history_of(self, row: AuditorScope) -> str:
        return _correlation(row)

    def get_readonly_fields(self, request: HttpRequest, obj: AuditorScope | None = None) -> tuple[str, ...]:
        return ("user", "group") if obj else ()

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> ModelChoiceField | None:
        """Offer nothing of one's own: a scope more opens what it covers to whoever has another."""
        if not request.user.is_superuser:
            kwargs["queryset"] = _of_others(db_field.name, request.user)
            kwargs["error_messages"] = {"invalid_choice": NOT_ONESELF}
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def has_change_permission(self, request: HttpRequest, obj: AuditorScope | None = None) -> bool:
        return self._is_of_another(request, obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: AuditorScope | None = None) -> bool:
        return self._is_of_another(request, obj) and super().has_delete_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: AuditorScope, form: Any, change: bool) -> None:
        before = AuditorScope.objects.filter(pk=obj.pk).first() if change else None
        _record(request, "changed" if change else "set", obj, before)
        super().save_model(request, obj, form, change)

    def delete_model(self, request: HttpRequest, obj: AuditorScope) -> None:
        _record(request, "removed", obj, obj)
        super().delete_model(request, obj)

    whose = column("whose", lambda scope: f"person {scope.user}" if scope.user else f"group {scope.group}")
    of_writers = column("writers", lambda scope: ", ".join(scope.writers) or "all")
    of_categories = column("categories", lambda scope: ", ".join(scope.categories) or "all")

    def _is_of_another(self, request: HttpRequest, scope: AuditorScope | None) -> bool:
        """Return whether the scope is somebody else's: only a superuser widens what they see themselves."""
        if scope is None or request.user.is_superuser:
            return True
        return scope.user != request.user and scope.group not in request.user.groups.all()


def _of_others(kind: str, user: Any) -> QuerySet[User] | QuerySet[Group]:
    """The persons, or groups ("user", "group"), of whom this person may set scopes."""
    if kind == "user":
        return User.objects.exclude(pk=user.pk).order_by("username")
    return Group.objects.exclude(user=user).order_by("name")


def _correlation(scope: AuditorScope) -> str:
    return f"person-{scope.user}" if scope.user else "rights"


def _record(request: HttpRequest, act: str, scope: AuditorScope, before: AuditorScope | None) -> None:
    trail.add(
        f"audit.scope.{act}",
        actor=request.user.get_username(),
        correlation=_correlation(scope),
        person=scope.user and scope.user.get_username(),
        group=scope.group and scope.group.name,
        writers=[] if act == "removed" else scope.writers,
        categories=[] if act == "removed" else scope.categories,
        writers_before=before and before.writers,
        categories_before=before and before.categories,
    )
