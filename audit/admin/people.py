"""People, and what django-q2 ran: with what would give more rights than one has taken away."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from django_q.models import Failure, Schedule, Success

admin.site.unregister([User, Group, Success, Failure, Schedule])


@admin.register(User)
class PeopleAdmin(UserAdmin):
    """Only a superuser makes superusers or gives single permissions: an administrator gives groups."""

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        fixed = ("last_login", "date_joined")
        return fixed if request.user.is_superuser else (*fixed, "is_superuser", "user_permissions")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if obj is not None and obj.is_superuser and not request.user.is_superuser:
            return False
        return super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # a name that stands in records stays; deactivate instead


@admin.register(Group)
class RightsAdmin(GroupAdmin):
    """Groups are emptied, not deleted: one click would take its rights from everyone in it."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Success, Failure, Schedule)
class RunAdmin(admin.ModelAdmin):
    """What the schedule ran and will run, for looking."""

    list_display = ("name", "func")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
