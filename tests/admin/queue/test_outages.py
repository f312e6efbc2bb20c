"""Outages are kept with their account, their records and what people did about them."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

import dlq.outage
import dlq.stream
from audit.errors import NothingKept
from audit.management.commands import drain_dlq
from audit.models import Episode, Record
from audit.postgres.gateway import gateway
from audit.queue import drain, outages
from tests.admin.conftest import parked_message
from tests.admin.queue.conftest import an_episode
from tests.audit.conftest import Sender, an_event, with_id

pytestmark = pytest.mark.usefixtures("own_queue")


def closed() -> Episode | None:
    """The outage that is over once the queue is empty, if there is one."""
    drain.drain(seconds=20)
    return outages.follow()


def detail(episode: Episode) -> str:
    return reverse("admin:audit_episode_change", args=[episode.pk])


@pytest.mark.slow
def test_an_outage_becomes_an_object_with_its_account_and_its_records(
    postgres: Any, operator: Client, auditor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "OUTAGE_MIN_S", 0)
    service = Sender("write")
    document = with_id()
    service.post(an_event())
    closed()
    with postgres.stopped():
        service.post(document)
        drain_dlq.follow_outage()  # PostgreSQL is away: nothing to keep, and no error
        assert outages.follow() is None
    assert gateway().breaker.wait_closed(20)
    drain.drain(seconds=20)
    episode = outages.follow()
    assert episode is not None
    assert episode.reasons.keys() == {"database-down"} and episode.lost == 0
    assert episode.parked >= 1 and episode.stored + episode.left == episode.parked
    ended = Record.objects.filter(event_type="audit.episode.ended").latest("event_timestamp")
    assert ended.event_data["lost"] == 0 and ended.event_data["parked"] == episode.parked
    listed = operator.get(reverse("admin:audit_episode_changelist")).content.decode()
    assert "PostgreSQL did not answer" in listed and "0 lost" in listed
    page = auditor.get(detail(episode)).content.decode()
    assert document["event_id"] in page and "<svg" in page
    assert document["event_id"] not in operator.get(detail(episode)).content.decode()  # operators read no records


def test_a_moment_without_postgresql_is_counted_and_is_no_outage(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "OUTAGE_MIN_S", 1_000_000)  # however long this machine takes
    closed()
    queue = dlq.stream.for_drain()
    before, outages_before = dlq.outage.blips(queue), Episode.objects.count()
    parked_message()
    assert closed() is None
    after = dlq.outage.blips(queue)
    assert (after.number, after.events) == (before.number + 1, before.events + 1)
    assert Episode.objects.count() == outages_before
    assert f"{after.number} blip" in operator.get(reverse("admin:audit_parked_changelist")).content.decode()
    assert f"dlq_blips {after.number}.0" in Client().get("/metrics").content.decode()


def test_what_cost_many_events_is_an_outage_however_short(monkeypatch: pytest.MonkeyPatch) -> None:
    closed()
    monkeypatch.setattr(settings, "OUTAGE_MIN_EVENTS", 2)
    parked_message(), parked_message()
    outage = closed()
    assert outage is not None and outage.parked == 2


def test_what_left_a_dead_event_is_an_outage_however_small() -> None:
    closed()
    message = parked_message()
    dlq.stream.for_drain().fail(message, "DataError", "never", dead=True)
    outage = closed()
    assert outage is not None and outage.dead == 1


def test_the_open_outage_is_on_top_of_the_list(operator: Client) -> None:
    closed()
    queue = dlq.stream.for_drain()
    queue.redis.hset(queue.keys.stats, "since", int(datetime.now(UTC).timestamp() * 1000))
    assert "an outage is open" in operator.get(reverse("admin:audit_episode_changelist")).content.decode()
    queue.redis.hdel(queue.keys.stats, "since")
    assert "an outage is open" not in operator.get(reverse("admin:audit_episode_changelist")).content.decode()


def test_a_note_is_recorded_before_it_is_kept(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    episode = an_episode()
    url = reverse("admin:audit_episode_note", args=[episode.pk])
    answer = operator.post(url, {"note": " The disk was full.\x00 It is larger now. "}, follow=True)
    assert "The disk was full.\ufffd It is larger now." in answer.content.decode()
    episode.refresh_from_db()
    assert episode.noted_by.startswith("operator") and episode.noted_at is not None
    noted = Record.objects.filter(event_type="audit.episode.annotated").latest("event_timestamp")
    assert noted.event_data["note"] == "The disk was full.\ufffd It is larger now."

    def refuse(*arguments: Any, **facts: Any) -> None:
        raise NothingKept

    monkeypatch.setattr(outages.trail, "add", refuse)
    assert "Nothing was done" in operator.post(url, {"note": "other"}, follow=True).content.decode()
    episode.refresh_from_db()
    assert episode.note == "The disk was full.\ufffd It is larger now."


def test_who_may_write_a_note(auditor: Client, administrator: Client, outsider: Client) -> None:
    episode = an_episode()
    url = reverse("admin:audit_episode_note", args=[episode.pk])
    assert [client.post(url, {"note": "x"}).status_code for client in (auditor, administrator, outsider)] == [403] * 3
    assert auditor.get(detail(episode)).status_code == 200
    assert outsider.get(detail(episode)).status_code == 403


def test_a_loss_cannot_be_overlooked(operator: Client) -> None:
    page = operator.get(detail(an_episode(lost=3, stored=9))).content.decode()
    assert "3 lost" in page and "badge-error" in page


@pytest.mark.parametrize("address", ["999999999", "x"])
def test_one_that_never_was_is_404(operator: Client, address: str) -> None:
    assert operator.get(reverse("admin:audit_episode_change", args=[address])).status_code == 404
    assert operator.post(reverse("admin:audit_episode_note", args=[999999999])).status_code == 404
    assert operator.get(reverse("admin:audit_episode_note", args=[999999999])).status_code == 405


def test_what_the_note_says_is_text(operator: Client) -> None:
    episode = an_episode(note="<script>alert(1)</script>", reasons={"<b>": 1})
    page = operator.get(detail(episode)).content.decode()
    assert "<script>alert" not in page and "<b>" not in page
