"""The pages of schemas: a form that names what is wrong, and what holds beside a record."""

from django.test import Client
from django.urls import reverse

from audit.models import EventSchema
from audit.schemas import in_force
from tests.admin.conftest import stored_record
from tests.audit.schemas.conftest import event_type, registered

ADD, LIST = reverse("admin:audit_eventschema_add"), reverse("admin:audit_eventschema_changelist")
USER = '{"required": ["user"]}'


def form(**changes: str) -> dict[str, str]:
    return {"event_type": "a.b", "event_version": "", "mode": "warn", "reason": "r", "document": USER} | changes


def test_an_administrator_registers_a_schema_and_another_revision_of_it(administrator: Client) -> None:
    kind = event_type()
    answer = administrator.post(ADD, form(event_type=kind), follow=True)
    page = answer.content.decode()
    assert "revision 1, holds within ten seconds" in page and "This revision holds" in page
    row = EventSchema.objects.get(event_type=kind)
    begun = administrator.get(ADD, {"from": row.pk}).content.decode()
    assert kind in begun and "&quot;user&quot;" in begun
    administrator.post(ADD, form(event_type=kind, mode="refuse"))
    assert [each.mode for each in EventSchema.objects.filter(event_type=kind)] == ["refuse", "warn"]
    older = administrator.get(answer.redirect_chain[-1][0]).content.decode()
    newest = EventSchema.objects.get(event_type=kind, revision=2)
    assert "A newer revision holds" in older
    assert f'<a href="/admin/audit/eventschema/{newest.pk}/change/">revision 2</a>' in older
    page = administrator.get(LIST, {"q": kind}).content.decode()
    assert "refuse" in page and "2 schema revisions" in page


def test_what_is_no_schema_is_named_and_what_was_typed_stays(administrator: Client) -> None:
    kind = event_type()
    page = administrator.post(ADD, form(event_type=kind, document='{"$ref": "http://x/"}')).content.decode()
    assert "only #/$defs/NAME of its own is taken" in page and "http://x/" in page
    page = administrator.post(ADD, form(event_type="No Type")).content.decode()
    assert "must be dotted lower-case words, as in an event" in page and "No Type" in page
    assert not EventSchema.objects.filter(event_type=kind).exists()


def test_a_record_shows_whether_it_fits_the_schema_that_holds(auditor: Client) -> None:
    kind = event_type()
    record = stored_record(event_type=kind, event_data={"other": 1})
    url = reverse("admin:audit_record_change", args=[record.pk])
    assert "<h2>Schema</h2>" not in auditor.get(url).content.decode()
    registered(kind, {"required": ["user"]}, mode="warn")
    in_force.forget()
    page = auditor.get(url).content.decode()
    assert "It does not fit" in page and "&quot;user&quot; is a required property" in page
    registered(kind, {"required": ["other"]}, mode="warn")
    in_force.forget()
    page = auditor.get(url).content.decode()
    assert "It fits" in page and "revision 2" in page


def test_schemas_are_seen_by_all_who_answer_for_the_store_and_made_by_administrators(
    auditor: Client, operator: Client, administrator: Client
) -> None:
    assert [client.get(LIST).status_code for client in (auditor, operator, administrator)] == [200, 200, 200]
    assert [client.get(ADD).status_code for client in (auditor, operator, administrator)] == [403, 403, 200]
