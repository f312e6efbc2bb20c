"""Signed statements in the admin: made from a query, shown, taken away, and with the bundle that shows them."""

import secrets
from uuid import uuid4

from django.test import Client
from django.urls import reverse

from audit.models import Export, RedactionRule
from tests.admin.conftest import logged_in, person
from tests.audit.evidence.conftest import sealed

LIST, MAKE = reverse("admin:audit_statement_changelist"), reverse("admin:audit_statement_make")


def test_a_search_leads_to_a_statement_and_to_the_bundle_that_shows_it(auditor: Client) -> None:
    sealed(2)
    query = f"type:role.grant actor:nobody-{secrets.token_hex(4)}"
    shown = auditor.get(reverse("admin:audit_record_changelist"), {"q": query}).content.decode()
    assert f"{LIST}?q=type%3Arole.grant%20actor%3Anobody" in shown
    assert f'value="{query}"' in auditor.get(LIST, {"q": query}).content.decode()
    answer = auditor.post(MAKE, {"q": query})
    assert answer.status_code == 302
    shown = auditor.get(answer["Location"]).content.decode()
    assert "none found" in shown
    assert query in shown
    taken = auditor.get(f"{answer['Location']}note/")
    assert taken.content.startswith(b"auditsite/statement/v1\n")
    assert query in auditor.get(LIST).content.decode()
    begun = auditor.post(f"{answer['Location']}bundle/")
    assert Export.objects.get(pk=begun["Location"].split("/")[-3]).kind == "range"


def test_the_page_says_what_redaction_does_to_the_check_and_who_can_have_it_whole(auditor: Client) -> None:
    rule = RedactionRule.objects.create(
        name=f"r-{secrets.token_hex(4)}", path="actor_ip", method="remove", reason="tests", active=True
    )
    try:
        place = auditor.post(MAKE, {"q": f"actor:nobody-{secrets.token_hex(4)}"})["Location"]
        page = auditor.get(place).content.decode()
        assert "Yours will be redacted" in page and "A compliance officer can export them whole" in page
        officer = logged_in(person("compliance officer"))
        assert "A compliance officer can" not in officer.get(place).content.decode()
        begun = officer.post(f"{place}bundle/", {"unredacted": "1"})
        assert Export.objects.get(pk=begun["Location"].split("/")[-3]).unredacted
    finally:
        RedactionRule.objects.filter(pk=rule.pk).update(active=False)


def test_what_is_found_is_named(auditor: Client) -> None:
    word = sealed(1)
    answer = auditor.post(MAKE, {"q": f"correlation:{word}"}, follow=True)
    assert "1 found" in answer.content.decode()
    assert "there is no field" in auditor.post(MAKE, {"q": "nope:1"}, follow=True).content.decode()


def test_only_those_who_read_records_have_statements_made(
    auditor: Client, operator: Client, administrator: Client
) -> None:
    for client in (operator, administrator):
        assert client.get(LIST).status_code == 403
        assert client.post(MAKE, {"q": "outcome:failure"}).status_code == 403
    assert auditor.get(MAKE).status_code == 405
    assert auditor.get(reverse("admin:audit_statement_detail", args=[uuid4()])).status_code == 404
