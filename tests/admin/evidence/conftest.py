"""Bundles that a person asks for."""

from typing import Any

from django.test import Client
from django.urls import reverse

from audit import tasks
from audit.models import Export

MAKE, LIST = reverse("admin:audit_export_make"), reverse("admin:audit_export_changelist")


def begun(client: Client, **asked: Any) -> Export:
    answer = client.post(MAKE, asked)
    assert answer.status_code == 302, answer.content
    return Export.objects.get(pk=answer["Location"].split("/")[-3])


def page(client: Client, bundle: Export) -> str:
    answer = client.get(reverse("admin:audit_export_change", args=[bundle.pk]))
    assert answer.status_code == 200
    return answer.content.decode()


def made(client: Client, **asked: Any) -> Export:
    bundle = begun(client, **asked)
    tasks.continue_export(str(bundle.pk))
    bundle.refresh_from_db()
    assert bundle.state == "ready"
    return bundle
