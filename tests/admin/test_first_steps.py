"""A new store: its first person comes by a link in the log, its first service by a page that waits for the event."""

import re
import secrets
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from django.urls import reverse
from structlog.testing import capture_logs

from audit.models import AuditorScope, Record
from tests.admin.conftest import stored_record

PASSWORD = "correct horse battery staple"


@pytest.fixture
def nobody(client: Client) -> Iterator[Client]:
    """A visitor of a store in which no person exists; those of other tests are back afterwards."""
    with transaction.atomic():
        AuditorScope.objects.all().delete()
        User.objects.all().delete()
        yield client
        transaction.set_rollback(True)


def test_the_first_person_is_made_by_a_link_that_is_good_once(nobody: Client) -> None:
    with capture_logs() as logs:
        assert "first_person_link" in nobody.get(reverse("admin:login")).content.decode()
    (url,) = [entry["url"] for entry in logs if entry["event"] == "first_person_link"]
    name = f"first-{secrets.token_hex(4)}"
    assert nobody.get(url.replace("/first/", "/first/x")).status_code == 404
    form = {"username": name, "email": "", "password1": PASSWORD, "password2": PASSWORD}
    assert nobody.post(url, form).headers["Location"] == reverse("admin:login")
    assert User.objects.get(username=name).is_superuser
    assert Record.objects.filter(event_type="audit.person.created", correlation_id=f"person-{name}").exists()
    assert nobody.get(url).status_code == 404
    assert nobody.post(url, form | {"username": f"{name}-2"}).status_code == 404
    assert "first_person_link" not in nobody.get(reverse("admin:login")).content.decode()


def test_a_new_key_comes_with_requests_and_waits_for_the_first_event(administrator: Client) -> None:
    name = f"w-{secrets.token_hex(4)}"
    form = {"name": name, "scopes": "write", "keys-TOTAL_FORMS": "0", "keys-INITIAL_FORMS": "0"}
    page = administrator.post(reverse("admin:audit_writer_add"), form).content.decode()
    key = re.search(r"<code data-copy>(aw_[\w-]+)</code>", page)
    assert key is not None
    assert page.count(key[1]) == 2  # by itself, and in the variables of the requests
    assert all(text in page for text in ("curl --silent", "urllib.request", "http.Client", "waiting"))
    assert "needs the scope read" not in page  # what its key is refused is not asked for
    assert "waiting" in administrator.get(reverse("admin:connect"), {"writer": name}).content.decode()
    sender = stored_record().writer
    administrator.post(reverse("admin:audit_writer_add"), form | {"name": sender})
    assert "connected" in administrator.get(reverse("admin:connect"), {"writer": sender}).content.decode()
