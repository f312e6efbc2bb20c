"""Whatever stands in an address, the answer is a page or a 404, never a failure."""

import secrets

import pytest
from django.core.exceptions import ValidationError
from django.test import Client

from audit.models import Writer


@pytest.mark.parametrize("page", ["discard", "quarantined", "verification", "checkpoint", "episode"])
@pytest.mark.parametrize("key", ["²", "9" * 30, "9" * 5000, "-1", "x", "%00"])
def test_a_key_that_is_none_is_404(superuser_client: Client, page: str, key: str) -> None:
    assert superuser_client.get(f"/admin/audit/{page}/{key}/change/").status_code in (302, 404)


def test_scopes_that_are_no_names_are_refused_with_a_reason(superuser_client: Client) -> None:
    form = {"name": f"w-{secrets.token_hex(3)}", "keys-TOTAL_FORMS": "0", "keys-INITIAL_FORMS": "0"}
    for scopes in ('["write"]', "everything"):
        page = superuser_client.post("/admin/audit/writer/add/", form | {"scopes": scopes})
        assert page.status_code == 200 and "Select a valid choice" in page.content.decode(), scopes
    with pytest.raises(ValidationError, match="Scopes must be a list"):
        Writer(name="w", scopes="write").full_clean()
