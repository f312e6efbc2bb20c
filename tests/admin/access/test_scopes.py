"""An auditor with a scope sees what is within, on every path; what is outside is as if it were not there."""

import secrets
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

import dlq.stream
from audit.access import api_keys
from audit.access.access_log import sight_of
from audit.completeness import manifests, sequences, silence
from audit.formats import event
from audit.ingest.record import store
from audit.ledger import seal
from audit.models import Account, AuditorScope, Gap, Quarantined, Record
from audit.queue import discards
from audit.queue.quarantine import quarantine
from audit.visibility import Scope
from dlq.message import Document, Message
from tests.admin.conftest import logged_in, person
from tests.audit.completeness.conftest import numbers_of
from tests.audit.conftest import EVENTS, Sender, an_event, sealed_event

RECORDS = "/admin/audit/record/"
SCOPES = "/admin/audit/auditorscope/"


def stored(writer: str, **changes: Any) -> Record:
    accepted = event.accept(an_event(**changes), writer=writer)
    store([accepted], timeout_s=20)
    return Record.objects.get(id=accepted.id)


def parked(writer: str, **changes: Any) -> Message:
    one = event.accept(an_event(**changes), writer=writer)
    document = Document(str(one.id), one.digest, one.body, writer, one.event_type, one.received_at)
    dlq.stream.for_drain().park([document], reason="database-down")
    found = dlq.stream.for_drain().pages.find(document.key)
    assert found is not None
    return found


def scoped(*, writers: tuple[str, ...] = (), categories: tuple[str, ...] = (), group: str = "auditor") -> User:
    user = person(group)
    AuditorScope.objects.create(user=user, writers=list(writers), categories=list(categories))
    return user


@pytest.fixture
def two() -> tuple[Record, Record]:
    """Records of two writers in one correlation."""
    shared, names = f"rr-{secrets.token_hex(6)}", [f"w-{secrets.token_hex(4)}" for _ in range(2)]
    mine, other = (stored(name, correlation_id=shared, actor_id=f"by-{name}") for name in names)
    seal.Sealer().once()
    return mine, other


def test_a_link_opens_for_a_colleague_who_may_see_it_and_for_nobody_else(two: tuple[Record, Record]) -> None:
    mine, other = two
    link = f"{RECORDS}{mine.pk}/change/"
    assert logged_in(person("auditor")).get(link).status_code == 200
    assert logged_in(scoped(writers=(mine.writer,))).get(link).status_code == 200
    stranger = logged_in(scoped(writers=(other.writer,)))
    none = f"{RECORDS}01980000-0000-7000-8000-000000000000/change/"
    assert stranger.get(link).status_code == stranger.get(none).status_code == 404
    assert mine.event_type not in stranger.get(link).content.decode()
    assert logged_in(person(None)).get(link).status_code == 403
    assert Client().get(link).status_code == 302


@pytest.mark.parametrize("part", ["change", "proof", "bundle"])
def test_no_page_of_a_record_outside_is_there(two: tuple[Record, Record], part: str) -> None:
    mine, other = two
    client = logged_in(scoped(writers=(mine.writer,)))
    assert client.get(f"{RECORDS}{mine.pk}/{part}/").status_code == 200
    assert client.get(f"{RECORDS}{other.pk}/{part}/").status_code in (302, 404)


def test_lists_counts_and_searches_have_what_is_within(two: tuple[Record, Record]) -> None:
    mine, other = two
    page = (
        logged_in(scoped(writers=(mine.writer,)))
        .get(RECORDS, {"q": f"correlation:{mine.correlation_id}"})
        .content.decode()
    )
    assert mine.actor_id in page
    assert other.actor_id not in page
    assert "1 record," in page


def test_a_category_is_a_scope_as_well() -> None:
    mine, other = stored("shared-writer", event_category="gateway"), stored("shared-writer", event_category="workflow")
    client = logged_in(scoped(categories=("gateway",)))
    assert client.get(f"{RECORDS}{mine.pk}/change/").status_code == 200
    assert client.get(f"{RECORDS}{other.pk}/change/").status_code == 404


def test_writers_and_categories_of_one_scope_both_have_to_fit() -> None:
    name = f"w-{secrets.token_hex(4)}"
    client = logged_in(scoped(writers=(name,), categories=("gateway",)))
    answers = [
        client.get(f"{RECORDS}{stored(writer, event_category=category).pk}/change/").status_code
        for writer, category in ((name, "gateway"), (name, "workflow"), ("another", "gateway"))
    ]
    assert answers == [200, 404, 404]


def test_scopes_of_groups_add_up(two: tuple[Record, Record]) -> None:
    user = person("auditor")
    for one in two:
        group = Group.objects.create(name=f"auditors of {one.writer}")
        AuditorScope.objects.create(group=group, writers=[one.writer])
        user.groups.add(group)
    client = logged_in(user)
    assert [client.get(f"{RECORDS}{one.pk}/change/").status_code for one in two] == [200, 200]
    assert client.get(f"{RECORDS}{stored('a-third').pk}/change/").status_code == 404


def test_parked_events_outside_are_not_there() -> None:
    mine, other = parked(f"w-{secrets.token_hex(4)}"), parked(f"w-{secrets.token_hex(4)}")
    client = logged_in(scoped(writers=(mine.source,)))
    queue = reverse("admin:audit_parked_changelist")
    assert client.get(f"{queue}{mine.id}/change/").status_code == 200
    assert client.get(f"{queue}{other.id}/change/").status_code == 302
    for address in (f"{queue}?q={other.key}", f"{queue}?writer={other.source}", f"{queue}?text={other.key}"):
        assert f"{queue}{other.id}/" not in client.get(address).content.decode(), address
    lines = b"".join(client.get(f"{queue}export/").streaming_content).decode()  # type: ignore[attr-defined]
    assert mine.key in lines
    assert other.key not in lines


def test_a_search_by_text_does_not_tell_that_something_outside_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.admin.queue.parked_rows.PAGE", 1)  # one that was selected would end the page
    secret = secrets.token_hex(6)
    other, mine = (parked(f"w-{secrets.token_hex(4)}", correlation_id=secret) for _ in range(2))
    client = logged_in(scoped(writers=(mine.source,)))
    page = client.get(reverse("admin:audit_parked_changelist"), {"text": secret}).content.decode()
    assert other.id not in page
    assert mine.id in page


def test_what_is_outside_is_not_counted() -> None:
    other = parked(f"w-{secrets.token_hex(4)}")
    client = logged_in(scoped(writers=("of-nobody",), group="operator"))
    address = reverse("admin:audit_parked_count")
    for asked in ({"writer": other.source}, {}):
        page = client.get(address, {"act": "retry", **asked})
        assert page.context["counted"].matched == 0


def test_an_operator_with_a_scope_acts_on_nothing_outside() -> None:
    other = parked(f"w-{secrets.token_hex(4)}")
    client = logged_in(scoped(writers=("of-nobody",), group="operator"))
    queue = reverse("admin:audit_parked_changelist")
    assert client.post(f"{queue}{other.id}/retry/").status_code == 404
    client.post(f"{queue}act/", {"act": "quarantine", "scope": "ticked", "id": [other.id]})
    assert dlq.stream.for_drain().pages.get(other.id) is not None


def test_nobody_decides_on_a_discard_outside() -> None:
    mine, other = (
        discards.request(parked(f"w-{secrets.token_hex(4)}"), reason="tests", by="somebody else") for _ in range(2)
    )
    pages = [reverse("admin:audit_discard_change", args=[one.pk]) for one in (mine, other)]
    client = logged_in(scoped(writers=(mine.source,), group="compliance officer"))
    assert [client.get(page).status_code for page in pages] == [200, 404]
    assert other.key not in client.get(reverse("admin:audit_discard_changelist")).content.decode()
    assert client.post(reverse("admin:audit_discard_decide", args=[other.pk]), {"approve": "1"}).status_code == 404
    assert dlq.stream.for_drain().pages.find(other.key) is not None


def test_what_is_quarantined_outside_is_not_there() -> None:
    messages = [parked(f"w-{secrets.token_hex(4)}") for _ in range(2)]
    quarantine(messages, cause="for a test", by="tests")
    mine, other = (Quarantined.objects.get(key=message.key) for message in messages)
    pages = [f"/admin/audit/quarantined/{one.pk}/change/" for one in (mine, other)]
    client = logged_in(scoped(writers=(mine.source,)))
    assert [client.get(page).status_code for page in pages] == [200, 404]
    assert other.key not in client.get("/admin/audit/quarantined/").content.decode()
    of_a_category = logged_in(scoped(categories=("gateway",)))
    assert [of_a_category.get(page).status_code for page in pages] == [404, 404]


def test_a_verdict_is_given_to_whoever_may_see_all_of_it(two: tuple[Record, Record]) -> None:
    mine, _ = two
    client = logged_in(scoped(writers=(mine.writer,)))
    page = client.post("/admin/audit/verification/start/", {"correlation": mine.correlation_id}, follow=True)
    assert "of which you may see every record" in page.content.decode()


@pytest.fixture
def narrow(two: tuple[Record, Record]) -> Sender:
    """A service that may read the records of the first of the two writers."""
    sender = Sender("read")
    sender.writer.reads_writers = [two[0].writer]
    sender.writer.save()
    api_keys.publish()
    return sender


def test_a_key_reads_what_its_writer_may(two: tuple[Record, Record], narrow: Sender) -> None:
    mine, other = two
    for end in ("", "/proof", "/bundle"):
        assert narrow.get(f"{EVENTS}/{mine.pk}{end}").status_code == 200
        assert narrow.get(f"{EVENTS}/{other.pk}{end}").status_code == 404
    found = narrow.get(EVENTS, correlation_id=mine.correlation_id).json()
    assert [one["event_id"] for one in found["data"]] == [str(mine.pk)]
    assert found["pagination"]["total"] == 1


def test_a_key_sees_of_a_chain_and_of_the_queue_what_its_writer_may(two: tuple[Record, Record], narrow: Sender) -> None:
    mine, other = two
    chain = narrow.post({"correlation_id": mine.correlation_id}, "/api/v1/audit/verify-chain").json()
    assert chain["total_events"] == 1
    assert any("Only what who asked may see" in text for text in chain["not_covered"])
    assert narrow.get("/api/v1/audit/tile/entries/000.p/1").status_code == 403
    assert narrow.get(f"{EVENTS}/{parked(mine.writer).key}").status_code == 200
    assert narrow.get(f"{EVENTS}/{parked(other.writer).key}").status_code == 404


def test_an_administrator_sets_changes_and_takes_scopes_and_each_is_recorded_first() -> None:
    boss, user = person("administrator"), person("auditor")
    client = logged_in(boss)
    client.post(f"{SCOPES}add/", {"user": user.pk, "writers": "one, two", "categories": ""})
    scope = AuditorScope.objects.get(user=user)
    assert scope.writers == ["one", "two"]
    client.post(f"{SCOPES}{scope.pk}/change/", {"writers": "one", "categories": "gateway"})
    client.post(f"{SCOPES}{scope.pk}/delete/", {"post": "yes"})
    assert not AuditorScope.objects.filter(user=user).exists()
    found = Record.objects.filter(correlation_id=f"person-{user.username}", event_type__startswith="audit.scope.")
    acts = [(one.event_action, one.event_data["writers"]) for one in found.order_by("event_timestamp", "id")]
    assert acts == [("set", ["one", "two"]), ("changed", ["one"]), ("removed", [])]
    assert {one.actor_id for one in found} == {boss.username}


@pytest.mark.parametrize("form", [{"writers": "", "categories": ""}, {"writers": "a", "categories": "", "user": ""}])
def test_a_scope_is_of_somebody_and_of_something(administrator: Client, form: dict[str, str]) -> None:
    user = person("auditor")
    page = administrator.post(f"{SCOPES}add/", {"user": user.pk, **form})
    assert page.status_code == 200
    assert "errornote" in page.content.decode()
    assert not AuditorScope.objects.filter(user=user).exists()


def test_nobody_widens_what_he_sees_himself() -> None:
    user = scoped(writers=("one",))
    user.groups.add(Group.objects.get(name="administrator"))
    scope = AuditorScope.objects.get(user=user)
    client = logged_in(user)
    client.post(f"{SCOPES}{scope.pk}/change/", {"writers": "", "categories": "gateway"})
    client.post(f"{SCOPES}{scope.pk}/delete/", {"post": "yes"})
    scope.refresh_from_db()
    assert scope.writers == ["one"]


@pytest.mark.parametrize("whose", ["person", "group"])
def test_nor_by_another_scope_for_themselves_or_for_a_group_of_theirs(whose: str) -> None:
    """Who has several scopes sees what any of them covers."""
    group, other = (Group.objects.create(name=f"team-{secrets.token_hex(4)}") for _ in range(2))
    user, colleague = person("auditor"), person("auditor")
    user.groups.add(Group.objects.get(name="administrator"), group)
    mine, others = (
        ({"user": user.pk}, {"user": colleague.pk}) if whose == "person" else ({"group": group.pk}, {"group": other.pk})
    )
    held = {"group": group} if whose == "person" else {"user": user}
    AuditorScope.objects.create(writers=["one"], **held)
    client = logged_in(user)
    page = client.post(f"{SCOPES}add/", mine | {"writers": "two", "categories": ""})
    assert page.status_code == 200 and "Somebody else has to" in page.content.decode()
    assert sight_of(user) == (Scope(("one",)),)
    assert client.post(f"{SCOPES}add/", others | {"writers": "two", "categories": ""}).status_code == 302
    assert AuditorScope.objects.filter(**others).exists()


def test_a_superuser_may_set_a_scope_for_themselves() -> None:
    boss = User.objects.create_superuser(f"root-{secrets.token_hex(4)}")
    page = logged_in(boss).post(f"{SCOPES}add/", {"user": boss.pk, "writers": "one", "categories": ""})
    assert page.status_code == 302 and sight_of(boss) == (Scope(("one",)),)


@pytest.mark.parametrize("who", ["auditor", "operator", "outsider"])
def test_nobody_but_administrators_sees_scopes(request: pytest.FixtureRequest, who: str) -> None:
    client: Client = request.getfixturevalue(who)
    assert client.get(SCOPES).status_code == 403


def test_figures_of_writers_outside_are_not_told(two: tuple[Record, Record]) -> None:
    mine, other = two
    for one in two:
        sequences.apply(numbers_of(one.writer, 1, 4))
        manifests.submit(
            {"since": "2026-08-18T10:00:00Z", "until": "2026-08-18T11:00:00Z", "count": 4}, writer=one.writer
        )
        Account.objects.create(day=datetime.now(UTC).date(), writer=one.writer, changed_at=datetime.now(UTC), direct=1)
        silence.apply([sealed_event(one.writer, datetime.now(UTC))])
    pages = ("gap/", "manifest/", "account/", "hourcount/")
    everybody, client = logged_in(person("auditor")), logged_in(scoped(writers=(mine.writer,)))
    narrow = logged_in(scoped(writers=(mine.writer,), categories=("gateway",)))
    for path in pages:
        told = [who.get(f"/admin/audit/{path}").content.decode() for who in (everybody, client, narrow)]
        assert other.writer not in told[1], path
        assert mine.writer in told[1], path
        assert mine.writer not in told[2], path
    assert other.writer in everybody.get("/admin/audit/gap/", {"q": other.writer}).content.decode()
    gap = Gap.objects.get(numbering__writer=other.writer)
    assert client.get(f"/admin/audit/gap/{gap.pk}/change/").status_code == 404
    assert client.post(f"/admin/audit/gap/{gap.pk}/act/", {"act": "own"}).status_code == 404
    assert client.get("/admin/audit/hourcount/", {"writer": other.writer}).status_code == 404
    key = Sender("read")
    key.writer.reads_writers = [mine.writer]
    key.writer.save()
    api_keys.publish()
    api_keys.forget()
    told_by_api = key.get("/api/v1/audit/account").content.decode()
    assert mine.writer in told_by_api
    assert other.writer not in told_by_api
