"""What ingest serves is what the site serves, with the same views."""

import pytest
from django.test import Client, override_settings
from django.urls import resolve

from auditsite import ingest_urls
from tests.admin.conftest import parked_message

WITHOUT_SESSIONS = ["audit.middleware.RequestIdMiddleware", "audit.middleware.AccessMiddleware"]


def test_every_path_of_ingest_is_the_view_of_the_site() -> None:
    for pattern in ingest_urls.urlpatterns:
        path = str(pattern.pattern).replace("<slug:source>", "cloudtrail")
        of_site = resolve(f"/{path}").func
        assert getattr(of_site, "cls", of_site) is getattr(pattern.callback, "cls", pattern.callback), pattern


@override_settings(ROOT_URLCONF="auditsite.ingest_urls", MIDDLEWARE=WITHOUT_SESSIONS)
@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_probes_are_answered_where_nobody_can_be_logged_in(django_db_setup: None, path: str) -> None:
    parked_message()
    assert Client().get(path).status_code == 200
