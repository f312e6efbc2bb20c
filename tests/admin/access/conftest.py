"""How a person is changed on their page."""

from typing import Any

from django.contrib.auth.models import Group, User
from django.test import Client


def form(user: User, *groups: str, **changes: str) -> dict[str, Any]:
    ids = [Group.objects.get(name=name).pk for name in groups]
    return {"username": user.username, "is_active": "on", "is_staff": "on", "groups": ids, "email": "", **changes}


def change(client: Client, user: User, *groups: str, **changes: str) -> None:
    client.post(f"/admin/auth/user/{user.pk}/change/", form(user, *groups, **changes))
    user.refresh_from_db()
