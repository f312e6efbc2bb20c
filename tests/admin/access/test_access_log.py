"""Whoever looks leaves a record, on every path, or sees nothing."""

import re
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, get_resolver, reverse

from audit.access import access_log
from audit.errors import NothingKept
from audit.ledger import seal
from audit.models import ACCESS, Quarantined, Record
from audit.queue.quarantine import quarantine
from dlq.message import Message
from tests.admin.conftest import logged_in, parked_message, person, stored_record
from tests.audit.conftest import EVENTS, Sender, an_event

RECORDS = "/admin/audit/record/"
MARK, CORRELATION = f"mark-{secrets.token_hex(8)}", f"rr-{secrets.token_hex(8)}"
"""What the content of the marked things has, and what they are looked for by: no address ever names the mark."""


BY = f"correlation:{CORRELATION}"


def looks(name: str) -> list[Record]:
    return list(access_log.looks().filter(actor_id=name).order_by("event_timestamp", "id"))


def page(record: Record) -> str:
    return f"{RECORDS}{record.pk}/change/"


@pytest.fixture(scope="module")
def marked(django_db_setup: None) -> dict[str, Any]:
    """A record, a parked event and a quarantined one that bear the mark: the key of each, by the name of its pages."""
    content = {"event_data": {"text": MARK}, "actor_id": MARK, "correlation_id": CORRELATION}
    record, parked, aside = stored_record(**content), parked_message(**content), parked_message(**content)
    seal.Sealer().once()
    quarantine([aside], cause="for a test", by="tests")
    kept = Quarantined.objects.get(key=aside.key).pk
    keys = {"record": str(record.pk), "parked": parked.id, "quarantined": kept, "parked key": parked.key}
    return keys | {"other": str(stored_record().pk)}


SHOWING = ("record", "parked", "quarantined")


def addresses(marked: dict[str, Any], is_every: bool) -> Iterator[str]:
    """Every page of the admin that the resolver knows, with each kind of question.

    If not `is_every`, pages of what shows no events as they came are asked nothing.
    """
    for pattern in get_resolver().url_patterns:
        if getattr(pattern, "app_name", None) == "admin":
            for route in _routes("/admin/", pattern.url_patterns):
                kind = [*route.split("/"), "", ""][3]
                here = re.sub(r"<[^>]+>", str(marked.get(kind, 1)), route)
                asked = (
                    "",
                    f"q={BY}",
                    f"correlation={CORRELATION}",
                    f"q={marked.get(kind)}",
                    f"q={marked['parked key']}",
                    f"id={marked['record']}&id={marked['other']}",
                )
                asked += (f"text={CORRELATION}", "state=due")
                if kind not in SHOWING and not is_every:
                    asked = asked[:1]
                # The page of one thing shows that thing, whatever it is asked: each kind of question is for lists.
                yield from (f"{here}?{question}" for question in (asked[:2] if "<" in route else asked))


def _routes(base: str, patterns: list[Any]) -> Iterator[str]:
    for pattern in patterns:
        route = base + str(pattern.pattern)
        if not isinstance(pattern, URLPattern):
            yield from _routes(route, pattern.url_patterns)
        elif "(?P" not in route and "logout" not in route:
            yield route


def body(response: Any) -> bytes:
    return b"".join(response.streaming_content) if response.streaming else response.content


@pytest.mark.slow
@pytest.mark.parametrize("is_every", [False, pytest.param(True, marks=pytest.mark.long)])
def test_no_page_of_the_admin_shows_a_record_without_recording_the_look(marked: dict[str, Any], is_every: bool) -> None:
    user = person(None, is_superuser=True)
    client, showed = logged_in(user), set()
    for address in dict.fromkeys(addresses(marked, is_every)):
        before = access_log.looks().filter(actor_id=user.username).count()
        if MARK.encode() in body(client.get(address)):
            assert access_log.looks().filter(actor_id=user.username).count() == before + 1, address
            showed.add(address.partition("?")[0].replace(str(marked["record"]), "ID"))
    assert {
        RECORDS,
        f"{RECORDS}timeline/",
        f"{RECORDS}compare/",
        f"{RECORDS}list.json",
        f"{RECORDS}list.csv",
        f"{RECORDS}ID/change/",
        f"{RECORDS}ID/bundle/",
        "/admin/audit/parked/export/",
    } <= showed
    assert {f"/admin/audit/parked/{marked['parked']}/change/"} <= showed
    assert {f"/admin/audit/quarantined/{marked['quarantined']}/change/"} <= showed


def test_no_path_of_the_api_shows_a_record_without_recording_the_look(marked: dict[str, Any]) -> None:
    service, showed = Sender("read"), set()
    ids = (marked["record"], marked["parked key"])
    paths = [f"{EVENTS}?correlation_id={CORRELATION}", *(f"{EVENTS}/{one}{end}" for one in ids for end in ENDS)]
    for path in paths:
        before = len(looks(service.name))
        response = service.client.get(path, headers={"Authorization": f"Bearer {service.key}"})
        if MARK.encode() in response.content:
            assert len(looks(service.name)) == before + 1, path
            showed.add(path)
    assert {paths[0], f"{EVENTS}/{ids[0]}", f"{EVENTS}/{ids[0]}/bundle", f"{EVENTS}/{ids[1]}"} == showed
    assert {(look.actor_type, look.correlation_id) for look in looks(service.name)} == {
        ("service", f"writer-{service.name}")
    }


ENDS = ("", "/proof", "/bundle")


def test_a_verification_and_a_tile_of_entries_are_looks_too(marked: dict[str, Any]) -> None:
    service = Sender("read")
    service.post({"correlation_id": CORRELATION}, "/api/v1/audit/verify-chain")
    service.get("/api/v1/audit/tile/entries/000.p/1")
    verified, entries = looks(service.name)
    assert verified.event_data["records"] == [marked["record"]]
    assert entries.event_data["rows"] == 1


def test_a_look_says_who_where_what_and_how_many() -> None:
    user, record = person("auditor"), stored_record()
    client = logged_in(user)
    client.get(RECORDS, {"q": f"correlation:{record.correlation_id}"}, headers={"X-Request-ID": "request-0001"})
    client.get(page(record))
    searched, viewed = looks(user.username)
    assert (searched.event_type, searched.event_category) == ("audit.records.searched", ACCESS)
    assert (searched.actor_type, searched.actor_ip, searched.writer) == ("user", "127.0.0.1", "auditsite")
    facts = searched.event_data
    assert (facts["path"], facts["query"]) == (RECORDS, f"q=correlation%3A{record.correlation_id}")
    assert (facts["rows"], facts["records"], facts["status"]) == (1, [str(record.pk)], 200)
    assert facts["request_id"] == "request-0001"
    assert (viewed.event_type, viewed.resource_type, viewed.resource_id) == (
        "audit.record.viewed",
        "record",
        str(record.pk),
    )
    assert client.session.session_key not in str(searched.event_data)
    assert searched.correlation_id == viewed.correlation_id == f"session-{facts['session']}"


def test_no_writer_says_who_looked() -> None:
    writer = Sender("write")
    record, name = stored_record(), f"alice-{secrets.token_hex(4)}"
    forged = {"event_category": ACCESS, "actor_id": name, "resource_type": "record", "resource_id": str(record.pk)}
    for event_type in ("audit.record.viewed", "gateway.viewed"):
        assert writer.post(an_event(event_type=event_type, **forged)).status_code == 201
    assert looks(name) == []
    assert name not in logged_in(person("auditor")).get(page(record)).content.decode()


def test_a_search_that_finds_nothing_and_an_id_that_is_none_are_looks() -> None:
    user, service = person("auditor"), Sender("read")
    logged_in(user).get(RECORDS, {"q": "correlation:none-such"})
    assert [look.event_data["rows"] for look in looks(user.username)] == [0]
    service.get(f"{EVENTS}/01980000-0000-7000-8000-000000000000")
    (look,) = looks(service.name)
    assert (look.event_outcome, look.event_data["status"]) == ("failure", 404)


def test_a_download_is_called_one_and_names_its_record() -> None:
    user, record = person("auditor"), stored_record()
    seal.Sealer().once()
    logged_in(user).get(f"{RECORDS}{record.pk}/bundle/")
    (look,) = looks(user.username)
    assert (look.event_type, look.resource_id) == ("audit.record.downloaded", str(record.pk))


def test_a_look_at_a_parked_event_stands_at_the_record_that_it_becomes(operator: Client) -> None:
    message = parked_message()
    operator.get(f"/admin/audit/parked/{message.id}/change/")
    (look,) = access_log.looks().filter(resource_id=message.key)
    assert (look.event_type, look.resource_type) == ("audit.record.viewed", "record")


def test_what_was_read_to_know_whether_there_is_more_is_not_counted_as_shown() -> None:
    service, shared = Sender("read"), f"rr-{secrets.token_hex(6)}"
    for _ in range(3):
        stored_record(correlation_id=shared)
    service.get(EVENTS, correlation_id=shared, limit="2")
    (look,) = looks(service.name)
    assert (look.event_data["rows"], len(look.event_data["records"])) == (2, 2)


def test_the_state_of_the_store_is_no_look_at_records() -> None:
    user = person("auditor")
    client = logged_in(user)
    for place in ("/admin/", reverse("admin:audit_gap_changelist"), reverse("admin:audit_checkpoint_changelist")):
        assert client.get(place).status_code == 200
    assert looks(user.username) == []


def test_writing_is_no_look() -> None:
    writer = Sender("write")
    writer.post(an_event())
    assert looks(writer.name) == []


def test_where_a_look_cannot_be_recorded_nothing_is_shown(
    auditor: Client, operator: Client, parked: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, service = stored_record(), Sender("read")

    def refuse(*events: Any) -> None:
        raise NothingKept

    monkeypatch.setattr("audit.ingest.trail.record", refuse)
    kept = {
        page(record): auditor.get(page(record)),
        "list": auditor.get(RECORDS, {"q": record.correlation_id}),
        "parked": operator.get(f"/admin/audit/parked/{parked.id}/change/"),
        "export": operator.get("/admin/audit/parked/export/"),
        "api": service.get(f"{EVENTS}/{record.pk}"),
    }
    for name, response in kept.items():
        assert response.status_code == 503, name
        assert record.correlation_id not in response.content.decode(), name
        assert parked.key not in response.content.decode(), name
    assert "Nothing is shown now" in kept["list"].content.decode()
    assert kept["api"].json()["type"] == "/problems/query-unavailable"
    assert kept["api"]["Retry-After"]


def test_the_page_of_a_record_shows_who_looked() -> None:
    record, first, second = stored_record(), person("auditor"), person("compliance officer")
    assert "No one else has viewed this record" in logged_in(first).get(page(record)).content.decode()
    shown = logged_in(second).get(page(record)).content.decode()
    looked = shown[shown.index('id="looks"') :]
    assert first.username in looked
    assert "viewed" in looked


def test_the_access_page_finds_looks_by_person_and_time_and_is_a_look_itself() -> None:
    user, watcher, record = person("auditor"), person("auditor"), stored_record()
    logged_in(user).get(RECORDS, {"q": record.correlation_id})
    client, place = logged_in(watcher), reverse("admin:audit_access_changelist")
    shown = client.get(place, {"who": user.username, "since": "1h"}).content.decode()
    assert f"q={record.correlation_id}" in shown
    assert user.username in shown
    assert (
        "No access by this person" in client.get(place, {"who": user.username, "until": "2020-01-01"}).content.decode()
    )
    wrong = client.get(place, {"since": "yesterday"}).content.decode()
    assert "since: is neither a span" in wrong
    assert [look.event_data["path"] for look in looks(watcher.username)] == [place] * 3


def test_the_access_page_goes_on_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.admin.access.access_log.PAGE", 2)
    user, client = person("auditor"), logged_in(person("auditor"))
    for number in range(3):
        logged_in(user).get(RECORDS, {"q": f"page-{number}"})
    place, found = f"{reverse('admin:audit_access_changelist')}?who={user.username}", []
    while place:
        shown = client.get(place).content.decode()
        assert "list of records" in shown
        found += re.findall(
            r'<a href="/admin/audit/record/\?q=page-\d" title="q=page-\d"><code>(page-\d)</code>', shown
        )
        match = re.search(r'href="(\?[^"]+)" rel="next"', shown)
        place = f"{reverse('admin:audit_access_changelist')}{match[1].replace('&amp;', '&')}" if match else ""
    assert found == ["page-2", "page-1", "page-0"]


@pytest.mark.parametrize(("who", "status"), [("operator", 403), ("administrator", 403), ("outsider", 403)])
def test_who_reads_no_records_does_not_read_who_did(request: pytest.FixtureRequest, who: str, status: int) -> None:
    client: Client = request.getfixturevalue(who)
    assert client.get(reverse("admin:audit_access_changelist")).status_code == status


def test_the_start_page_says_who_looked_last(record: Record) -> None:
    user, operator = person("auditor"), person("operator")
    logged_in(user).get(page(record))
    shown = logged_in(user).get("/admin/").content.decode()
    assert "Who has viewed records?" in shown
    assert user.username in shown.partition("Who has viewed records?")[2]
    assert "Who has viewed records?" not in logged_in(operator).get("/admin/").content.decode()
