"""Giving a parked event up takes a reason and two people, and is recorded before it is done."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

import dlq.stream
from audit.errors import NothingKept
from audit.ingest.record import store
from audit.models import Discard, Record
from audit.queue import discards
from audit.queue.drain import read_message
from audit.receipts import locate
from dlq.message import Message
from tests.admin.conftest import logged_in, parked_message, person

pytestmark = pytest.mark.usefixtures("own_queue")

PARKED, DISCARDS = "/admin/audit/parked/", "/admin/audit/discard/"


def ask(client: Client, message: Message, reason: str = "a test event") -> Discard:
    client.post(f"{PARKED}{message.id}/discard/", {"reason": reason})
    return Discard.objects.get(message_id=message.id)


def test_two_people_discard_with_a_reason_and_three_records(
    operator: Client, administrator: Client, parked: Message
) -> None:
    queue = dlq.stream.for_drain()
    before = queue.totals.stats()
    asked = ask(operator, parked)
    assert queue.pages.get(parked.id) is not None
    page = administrator.get(f"{DISCARDS}{asked.pk}/change/").content.decode()
    assert "a test event" in page
    assert "Discard it for good" in page
    administrator.post(f"{DISCARDS}{asked.pk}/decide/", {"approve": "yes"})
    assert queue.pages.get(parked.id) is None
    after = queue.totals.stats()
    assert (after.discarded, after.depth) == (before.discarded + 1, before.depth - 1)
    acts = Record.objects.filter(event_data__event_id=parked.key).values_list("event_type", flat=True)
    assert set(acts) == {"audit.parked.discard_asked", "audit.parked.discarded"}
    asked.refresh_from_db()
    assert asked.decision == "discarded"
    assert asked.decided_by != asked.asked_by
    assert administrator.post(f"{DISCARDS}{asked.pk}/decide/", {"approve": "yes"}).status_code == 404
    assert f'It was discarded: <a href="{DISCARDS}{asked.pk}/change/">' in text_of_search(operator, parked.key)


def text_of_search(client: Client, key: str) -> str:
    return client.get(PARKED, {"q": key}).content.decode()


def test_whoever_asked_cannot_approve(parked: Message) -> None:
    both = person("operator")
    both.user_permissions.add(Permission.objects.get(codename="approve_discard"))
    client = logged_in(both)
    asked = ask(client, parked)
    assert "Discard it for good" not in client.get(f"{DISCARDS}{asked.pk}/change/").content.decode()
    page = client.post(f"{DISCARDS}{asked.pk}/decide/", {"approve": "yes"}, follow=True).content.decode()
    assert "a second person has to" in page
    assert dlq.stream.for_drain().pages.get(parked.id) is not None


def test_whoever_asked_withdraws_and_the_event_says_that_a_discard_waits_until_then(
    operator: Client, administrator: Client, parked: Message
) -> None:
    asked = ask(operator, parked)
    page, button = f"{PARKED}{parked.id}/change/", "Discard, once a second person approves"
    waits = operator.get(page).content.decode()
    assert f'href="{DISCARDS}{asked.pk}/change/">A discard waits' in waits and button not in waits
    assert administrator.post(f"{DISCARDS}{asked.pk}/withdraw/").status_code == 403
    colleague = logged_in(person("operator"))
    answer = colleague.post(f"{DISCARDS}{asked.pk}/withdraw/", follow=True).content.decode()
    assert "Only whoever requested a discard withdraws it" in answer
    operator.post(f"{DISCARDS}{asked.pk}/withdraw/")
    assert administrator.post(f"{DISCARDS}{asked.pk}/decide/", {"approve": "yes"}).status_code == 404
    asked.refresh_from_db()
    act = Record.objects.get(event_type="audit.parked.discard_withdrawn", event_data__event_id=parked.key)
    assert (asked.decision, act.actor_id) == ("discard_withdrawn", asked.asked_by)
    assert dlq.stream.for_drain().pages.get(parked.id) is not None
    assert list(locate._discarded([parked.key])) == []
    assert button in operator.get(page).content.decode()


def test_a_declined_discard_leaves_the_event(operator: Client, administrator: Client, parked: Message) -> None:
    asked = ask(operator, parked)
    administrator.post(f"{DISCARDS}{asked.pk}/decide/", {"decline": "yes"})
    assert dlq.stream.for_drain().pages.get(parked.id) is not None
    assert "declined" in operator.get(f"{DISCARDS}{asked.pk}/change/").content.decode()


def test_without_reason_right_or_record_nothing_happens(
    operator: Client, auditor: Client, administrator: Client, parked: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator.post(f"{PARKED}{parked.id}/discard/", {"reason": "  "})
    assert auditor.post(f"{PARKED}{parked.id}/discard/", {"reason": "because"}).status_code == 403
    assert not Discard.objects.filter(message_id=parked.id).exists()
    asked = ask(operator, parked)
    assert operator.post(f"{DISCARDS}{asked.pk}/decide/", {"approve": "yes"}).status_code == 403

    def refuse(*arguments: Any) -> None:
        raise NothingKept

    monkeypatch.setattr("audit.ingest.trail.record", refuse)
    administrator.post(f"{DISCARDS}{asked.pk}/decide/", {"approve": "yes"})
    assert dlq.stream.for_drain().pages.get(parked.id) is not None
    asked.refresh_from_db()
    assert asked.decision == ""


def test_what_was_stored_meanwhile_is_not_discarded(operator: Client, administrator: Client, parked: Message) -> None:
    asked = ask(operator, parked)
    dlq.stream.for_drain().acknowledge([parked], "drained")
    page = administrator.post(f"{DISCARDS}{asked.pk}/decide/", {"approve": "yes"}, follow=True).content.decode()
    assert "there is nothing to discard" in page
    with pytest.raises(discards.Gone):
        discards.decide(asked, approve=True, by="somebody else")


def test_the_insert_is_tried_and_nothing_of_it_is_kept(operator: Client) -> None:
    message = parked_message()
    page = operator.post(f"{PARKED}{message.id}/rehearse/", follow=True).content.decode()
    assert "Tried and rolled back: it would be stored" in page
    assert not Record.objects.filter(id=message.key).exists()
    event = read_message(message)
    store([event], timeout_s=20)  # type: ignore[list-item]
    page = operator.post(f"{PARKED}{message.id}/rehearse/", follow=True).content.decode()
    assert "it is stored already" in page


def test_a_try_that_fails_shows_what_postgresql_says(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    message = parked_message()
    other = parked_message()
    monkeypatch.setattr(Message, "digest_ok", property(lambda self: self.key != other.key))
    page = operator.post(f"{PARKED}{other.id}/rehearse/", follow=True).content.decode()
    assert "Damaged" in page
    assert operator.post(f"{PARKED}1-1/rehearse/").status_code == 404
    assert operator.get(f"{PARKED}{message.id}/rehearse/").status_code == 405


def test_one_decision_stands(parked: Message) -> None:
    """Two approvers at once: each has read the same undecided row."""
    asked = discards.request(parked, reason="tests", by="a")
    one, two = Discard.objects.get(pk=asked.pk), Discard.objects.get(pk=asked.pk)
    discards.decide(one, approve=True, by="b")
    with pytest.raises(discards.Decided):
        discards.decide(two, approve=False, by="c")
    asked.refresh_from_db()
    assert (asked.decision, asked.decided_by) == ("discarded", "b")


def test_a_crash_before_the_decision_was_noted_is_mended_from_the_trail(
    parked: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = discards.request(parked, reason="tests", by="a")

    def crash(self: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Discard, "save", crash)
        with pytest.raises(KeyboardInterrupt):
            discards.decide(asked, approve=True, by="b")
    assert dlq.stream.for_drain().pages.get(parked.id) is None
    discards.decide(asked, approve=False, by="c")
    asked.refresh_from_db()
    assert (asked.decision, asked.decided_by) == ("discarded", "b")


def test_what_was_parked_anew_under_the_same_place_is_not_what_was_asked_for(parked: Message) -> None:
    asked = discards.request(parked, reason="tests", by="a")
    Discard.objects.filter(pk=asked.pk).update(digest="00" * 32)
    with pytest.raises(discards.Gone):
        discards.decide(asked, approve=True, by="b")
    assert dlq.stream.for_drain().pages.get(parked.id) is not None
