"""Evidence bundles in the admin: asked for from a search, watched, cancelled, fetched; each person sees his own."""

import io
import secrets
import zipfile

import pytest
from django.test import Client
from django.urls import reverse

from audit import tasks
from audit.evidence import export
from audit.models import AuditorScope, Export, Record
from tests.admin.conftest import logged_in, person
from tests.admin.evidence.conftest import LIST, MAKE, begun, made, page
from tests.audit.evidence.conftest import sealed


def act(client: Client, bundle: Export, what: str) -> int:
    return client.post(reverse("admin:audit_export_act", args=[bundle.pk]), {"act": what}).status_code


def test_the_list_of_records_offers_its_query_for_export(auditor: Client, operator: Client) -> None:
    shown = auditor.get(reverse("admin:audit_record_changelist"), {"q": "outcome:failure"}).content.decode()
    assert f'action="{MAKE}"' in shown
    assert '<input type="hidden" name="q" value="outcome:failure">' in shown


def test_a_search_becomes_a_bundle_that_can_be_fetched(auditor: Client) -> None:
    word = sealed(3)
    bundle = begun(auditor, q=f"correlation:{word}", csv="1")
    shown = page(auditor, bundle)
    assert "<progress" in shown
    assert "audit/progress" in shown
    tasks.continue_export(str(bundle.pk))
    shown = page(auditor, bundle)
    assert "That no other record matches the query" in shown
    assert "Download the bundle" in shown
    answer = auditor.get(reverse("admin:audit_export_file", args=[bundle.pk, bundle.name]))
    with zipfile.ZipFile(io.BytesIO(b"".join(answer))) as whole:
        assert len(whole.read("records-0001.jsonl").splitlines()) == 3
        assert len(whole.read("records-0001.csv").splitlines()) == 4
    acts = Record.objects.filter(correlation_id=f"export-{bundle.pk}").order_by("id")
    assert [act.event_action for act in acts] == ["asked", "made", "fetched"]
    assert word in auditor.get(LIST).content.decode()


def test_a_range_is_asked_for_by_its_leaves(auditor: Client) -> None:
    sealed(2)
    bundle = made(auditor, first="0", last="2")
    assert "none is left out" in page(auditor, bundle)
    answer = auditor.post(MAKE, {"first": "0", "last": "x"}, follow=True)
    assert "last: is not a whole number" in answer.content.decode()


def test_what_was_received_in_a_time_is_asked_for_by_that_time(auditor: Client) -> None:
    sealed(2)
    bundle = made(auditor, received_since="5m", received_until="")
    assert "; received from" in page(auditor, bundle)


def test_a_record_and_its_timelines_offer_their_bundles(auditor: Client, operator: Client) -> None:
    record = Record.objects.filter(correlation_id=sealed(2, actor_id='an "odd" name')).first()
    assert record is not None
    shown = auditor.get(reverse("admin:audit_record_change", args=[record.pk])).content.decode()
    assert f'value="id:{record.pk}"' in shown
    assert f'value="correlation:{record.correlation_id}"' in shown
    timeline = reverse("admin:audit_record_timeline")
    shown = auditor.get(timeline, {"correlation": record.correlation_id, "since": "2026-01-01"})
    query = f"correlation:{record.correlation_id} after:2026-01-01T00:00:00.000000Z"
    assert f'value="{query}"' in shown.content.decode()
    assert made(auditor, q=query).done == 2
    (offered,) = auditor.get(timeline, {"actor": record.actor_id}).context["bundles"]
    assert made(auditor, q=str(offered[1])).done >= 2


def test_a_bundle_is_cancelled_and_gone_on_with(auditor: Client) -> None:
    bundle = begun(auditor, q=f"correlation:{sealed(1)}")
    act(auditor, bundle, "cancel")
    tasks.continue_export(str(bundle.pk))
    assert ">Go on<" in page(auditor, bundle)
    act(auditor, bundle, "resume")
    tasks.continue_export(str(bundle.pk))
    assert "Download the bundle" in page(auditor, bundle)
    assert act(auditor, bundle, "explode") == 404


def test_what_was_cancelled_is_gone_on_with_only_while_few_are_under_way(
    auditor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "MAX_UNDER_WAY", 1)
    stopped = begun(auditor, q=f"correlation:{sealed(1)}")
    act(auditor, stopped, "cancel")
    under_way = begun(auditor, q=stopped.query)
    answer = auditor.post(reverse("admin:audit_export_act", args=[stopped.pk]), {"act": "resume"}, follow=True)
    assert "1 bundles of yours are being made already" in answer.content.decode()
    stopped.refresh_from_db()
    assert stopped.state == "cancelled"
    act(auditor, under_way, "cancel")


def test_each_person_sees_his_own_bundles_alone(auditor: Client) -> None:
    bundle = made(auditor, q=f"correlation:{sealed(1)}")
    other = logged_in(person("auditor"))
    assert str(bundle.pk) not in other.get(LIST).content.decode()
    for name in ("audit_export_change", "audit_export_act"):
        answer = other.post if name.endswith("act") else other.get
        assert answer(reverse(f"admin:{name}", args=[bundle.pk]), {"act": "cancel"}).status_code == 404
    assert other.get(reverse("admin:audit_export_file", args=[bundle.pk, bundle.name])).status_code == 404


@pytest.mark.parametrize("group", ["operator", "administrator", None])
def test_only_those_who_may_read_records_export_them(group: str | None) -> None:
    client = logged_in(person(group))
    assert client.post(MAKE, {"q": ""}).status_code == 403
    assert client.get(LIST).status_code == 403


def test_the_scope_of_an_auditor_holds_in_a_bundle() -> None:
    user = person("auditor")
    AuditorScope.objects.create(user=user, writers=[f"nobody-{secrets.token_hex(4)}"])
    client = logged_in(user)
    word = sealed(2)
    bundle = made(client, q=f"correlation:{word}")
    assert bundle.done == 0
    assert "you may see those of some" in client.post(MAKE, {"first": "0", "last": "1"}, follow=True).content.decode()
