"""Scheduled tasks that no package of the store owns: what is nobody's record has an end."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django_q.models import Failure, Task

from audit import tasks


def failed(days_ago: float) -> str:
    at = datetime.now(UTC) - timedelta(days=days_ago)
    key = uuid4().hex
    Task.objects.create(id=key, name=key, func="audit.tasks.tick", started=at, stopped=at, success=False)
    return key


def session(expires_in: timedelta) -> str:
    made = SessionStore()
    made.set_expiry(expires_in)
    made.save()
    return str(made.session_key)


def test_sessions_that_are_over_and_old_failures_are_removed(settings: Any) -> None:
    settings.FAILED_TASK_DAYS = 30
    old, young = failed(31), failed(29)
    over, still = session(timedelta(seconds=-1)), session(timedelta(hours=1))
    tasks.tidy()
    assert set(Failure.objects.filter(id__in=[old, young]).values_list("id", flat=True)) == {young}
    assert set(Session.objects.filter(pk__in=[over, still]).values_list("pk", flat=True)) == {still}
