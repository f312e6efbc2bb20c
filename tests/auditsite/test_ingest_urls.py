"""What ingest serves is what the site serves, with the same views."""

from django.urls import resolve

from auditsite import ingest_urls


def test_every_path_of_ingest_is_the_view_of_the_site() -> None:
    for pattern in ingest_urls.urlpatterns:
        of_site = resolve(f"/{pattern.pattern}").func
        assert getattr(of_site, "cls", of_site) is getattr(pattern.callback, "cls", pattern.callback), pattern
