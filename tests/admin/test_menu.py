"""The menu of the admin: every page of the store stands under a heading, in the order in which people look for it."""

from django.contrib import admin
from django.test import Client
from django.urls import reverse

from audit.site import MENU


def test_every_page_of_the_store_has_its_place() -> None:
    shown = {model._meta.model_name for model in admin.site._registry if model._meta.app_label == "audit"}
    named = [name for names in MENU.values() for name in names]
    assert shown <= set(named)
    assert len(named) == len(set(named))


def test_an_auditor_finds_reports_and_proofs_first(auditor: Client) -> None:
    page = auditor.get(reverse("admin:index")).content.decode()
    heads = [page.index(f">{name}</a>") for name in MENU]
    assert heads == sorted(heads)
    first = [page.index(f">{name}</a>", heads[0]) for name in ("Records", "Compliance reports", "Daily reviews")]
    assert first == sorted(first)
    assert first[-1] < heads[1]
    assert auditor.get(reverse("admin:app_list", args=["audit"])).status_code == 200
