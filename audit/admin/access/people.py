"""Pages of people, groups and task runs. Nobody can give themselves more rights here, and every act is recorded."""

from typing import Any

import django_q.admin  # noqa: F401  # registers pages that ours stand in the place of
from django import forms
from django.contrib import admin, messages
from django.contrib.auth import logout
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.urls import path
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django_q.models import Failure, Schedule, Success

from audit.access import rights, sessions
from audit.admin.access.new_person import NewPersonForm
from audit.admin.access.writers import WAITS
from audit.admin.base import HistoryIsRecords, ReadOnly
from audit.admin.display import column
from audit.ingest import trail

admin.site.unregister([User, Group, Success, Failure, Schedule])


@admin.register(User)
class PeopleAdmin(HistoryIsRecords, UserAdmin):
    """Only a superuser makes superusers or gives single permissions. An administrator gives groups to others."""

    actions = ("end_sessions",)
    add_form = NewPersonForm
    add_fieldsets = (
        (None, {"classes": ("wide",), "fields": ("username", "email", "groups")}),
        ("Password", {"classes": ("wide",), "fields": ("usable_password", "password1", "password2")}),
    )
    list_display = ("username", "email", "roles", "is_active", "last_login")
    list_filter = ("is_active", "is_superuser", "groups")
    # Few enough to be ticked; the widget that moves names between two lists cannot be read aloud.
    filter_horizontal = ()

    @admin.action(description="End all sessions: they have to log in again", permissions=["change"])
    def end_sessions(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for user in queryset:
            if self.has_change_permission(request, user):
                count = sessions.end_all(user, by=request.user.get_username())
                messages.success(request, f"{count} sessions of {user} ended.")

    def history_of(self, row: User) -> str:
        return f"person-{row.get_username()}"

    def get_urls(self) -> list[Any]:
        own = path("own-sessions/", self.admin_site.admin_view(self.own_sessions_view), name="own_sessions")
        return [own, *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("groups")

    roles = column("roles", lambda person: ", ".join(group.name for group in person.groups.all()) or "none")

    def own_sessions_view(self, request: HttpRequest) -> HttpResponse:
        """Log out everywhere; anybody may do that for themselves."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        sessions.end_all(request.user, by=request.user.get_username())
        logout(request)
        return redirect("admin:login")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # A name that stands in records stays: "a second person" means another one.
        fixed: tuple[str, ...] = ("last_login", "date_joined", *(("username",) if obj is not None else ()))
        if request.user.is_superuser:
            return fixed
        own = ("groups", "is_active", "is_staff") if obj == request.user else ()
        return (*fixed, "is_superuser", "user_permissions", *own)

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "groups":
            kwargs |= {"widget": forms.CheckboxSelectMultiple, "help_text": "The roles of this person."}
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        groups = super().get_fieldsets(request, obj)
        if self.has_change_permission(request, obj):
            return groups
        # Where a person may only look, the field of the password would lead to a page that is refused.
        visible = [(title, [name for name in part["fields"] if name != "password"]) for title, part in groups]
        return [(title, {"fields": fields}) for title, fields in visible]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if obj is not None and obj.is_superuser and not request.user.is_superuser:
            return False
        return super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # a name that stands in records stays; deactivate instead

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        given = form.cleaned_data
        facts = {name: given[name] for name in ("is_active", "is_staff", "is_superuser") if name in given}
        guarded: list[Group] = []
        if "groups" in given and not request.user.is_superuser:
            held = set(obj.groups.all()) if change else set()
            guarded = rights.guarded(group for group in given["groups"] if group not in held)
            given["groups"] = [group for group in given["groups"] if group not in guarded]
        if "groups" in given:
            facts["groups"] = sorted(group.name for group in given["groups"])
            facts["groups_before"] = sorted(obj.groups.values_list("name", flat=True)) if change else []
        if "user_permissions" in given:
            facts["permissions"] = sorted(permission.codename for permission in given["user_permissions"])
        _record(request, "changed" if change else "created", obj, changed=sorted(form.changed_data), **facts)
        super().save_model(request, obj, form, change)
        if guarded:
            names = sorted(group.name for group in guarded)
            rights.ask("person", obj.get_username(), {"groups": names}, by=request.user.get_username())
            messages.warning(request, f"{WAITS} {obj.get_username()} is in the group {', '.join(names)}.")

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        if request.method == "POST" and (person := self.get_object(request, id)) is not None:
            _record(request, "password_asked_to_change", person)
        return super().user_change_password(request, id, form_url)


@admin.register(Group)
class RightsAdmin(HistoryIsRecords, GroupAdmin):
    """Groups are emptied, not deleted: one click would take its rights from everyone in it."""

    filter_horizontal = ()  # as for people

    def history_of(self, row: Group) -> str:
        return "rights"

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Whoever may not change them reads the rights a line each."""
        return super().get_fields(request, obj) if self.has_change_permission(request, obj) else ("name", "may")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("may",) if not self.has_change_permission(request, obj) else super().get_readonly_fields(request, obj)

    @admin.display(description="rights")
    def may(self, group: Group) -> SafeString:
        names = sorted((permission.name for permission in group.permissions.all()), key=str.lower)
        return format_html("<ul>{}</ul>", format_html_join("", "<li>{}</li>", ((name,) for name in names)))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        permissions = sorted(permission.codename for permission in form.cleaned_data.get("permissions", ()))
        actor = request.user.get_username()
        trail.add("audit.group.changed", actor=actor, correlation="rights", group=obj.name, permissions=permissions)
        super().save_model(request, obj, form, change)


@admin.register(Success, Failure, Schedule)
class RunAdmin(ReadOnly):
    list_display = ("name", "func")


def _record(request: HttpRequest, act: str, person: Any, **facts: Any) -> None:
    actor, name = request.user.get_username(), person.get_username()
    trail.add(f"audit.person.{act}", actor=actor, correlation=f"person-{name}", name=name, pk=person.pk, **facts)
