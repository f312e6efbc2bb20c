"""The page of streams shows each target's state, what it lacks, and what it said last."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from audit.models import Stream
from audit.postgres import sql
from audit.streams.stream import GaveUp
from tests.audit.streams.conftest import Answer, FarEnd, Scene

LIST = reverse("admin:audit_stream_changelist")


def page_of(client: Client, name: str) -> str:
    return client.get(reverse("admin:audit_stream_change", args=[name])).content.decode()


def test_a_target_shows_its_state_and_its_last_error(
    operator: Client,
    scene: Scene,
    far_end: FarEnd,
) -> None:
    scene.has(type="http", url=far_end.url)
    scene.records(3)
    far_end.usual = lambda path, body: Answer(401, b"<b>who are you?</b>")
    with pytest.raises(GaveUp):
        scene.once()
    listed, page = operator.get(LIST).content.decode(), page_of(operator, scene.name)
    for text in (listed, page):
        assert "failing" in text and far_end.url.removeprefix("http://") in text.replace("<wbr>", "")
        assert "answered 401: &lt;b&gt;who are you?" in text.replace("<wbr>", "")
    assert "It has taken no record yet" in page and "nothing yet; a streamer was there" in page
    assert "3 records, the oldest for" in page or "4 records, the oldest for" in page
    far_end.usual = lambda path, body: Answer()
    scene.once()
    page = page_of(operator, scene.name)
    assert "It has taken every record whole" in page
    assert "up to date" in page and "nothing" in page and "Why it does not go on" not in page


def test_a_target_that_failed_and_has_no_streamer_now_is_not_said_to_be_tried_again(operator: Client) -> None:
    long_ago = sql.now() - timedelta(hours=2)
    row = Stream.objects.create(
        **{"name": "left-alone", "kind": "http", "place": "http://h", "begun_at": long_ago, "seen_at": long_ago},
        problem="http://h answered 503",
        problem_since=long_ago,
    )
    page = page_of(operator, "left-alone")
    assert "http://h answered 503" in page and "No streamer is at work" in page
    assert "manage.py stream run left-alone" in page and "tries again by itself" not in page
    Stream.objects.filter(pk=row.pk).update(seen_at=sql.now())
    page = page_of(operator, "left-alone")
    assert "tries again by itself" in page and "No streamer is at work" not in page
    Stream.objects.filter(pk=row.pk).update(ended_at=sql.now(), problem="")
    page = page_of(operator, "left-alone")
    assert "It ended" in page and "No streamer is at work" not in page


def test_the_lag_of_a_day_is_drawn_and_what_was_left_out_is_named(auditor: Client, operator: Client) -> None:
    row = Stream.objects.create(name="drawn", kind="http", place="http://h", begun_at=sql.now(), ended_at=sql.now())
    assert "It is drawn once it was noted twice" in page_of(operator, "drawn")
    row.samples = [["2026-11-28T10:00:00+00:00", 0], ["2026-11-28T10:10:00+00:00", 1_500]]
    row.refused, row.refusals = 1, [{"index": 7, "why": "too <large>", "at": "2026-11-28T10:00:00+00:00"}]
    row.save()
    page = page_of(operator, "drawn")
    assert "at most 1,500" in page and 'points="0.0,110.0 720.0,0.0"' in page
    assert "too &lt;large&gt;" not in page, "what a target answers may quote a record"
    assert "too &lt;large&gt;" in page_of(auditor, "drawn")


def test_what_has_ended_comes_last(operator: Client) -> None:
    for name, ended_at in (("a-ended", sql.now()), ("z-under-way", None)):
        Stream.objects.create(name=name, kind="http", place="http://h", begun_at=sql.now(), ended_at=ended_at)
    page = operator.get(LIST).content.decode()
    assert page.index("z-under-way") < page.index("a-ended")
    Stream.objects.filter(ended_at=None).update(ended_at=sql.now())


def test_streams_are_seen_by_those_who_answer_for_the_store(
    auditor: Client, operator: Client, administrator: Client
) -> None:
    assert [client.get(LIST).status_code for client in (auditor, operator, administrator)] == [200, 200, 403]
    assert operator.get(reverse("admin:audit_stream_change", args=["nothing"])).status_code == 404
    assert 'href="/admin/audit/stream/"' in auditor.get(reverse("admin:audit_checkpoint_changelist")).content.decode()


def test_the_start_page_has_a_line_for_streams(operator: Client, scene: Scene, far_end: FarEnd) -> None:
    Stream.objects.filter(ended_at=None).update(ended_at=sql.now())
    start: Any = reverse("admin:index")
    assert "Streams" not in operator.get(start).content.decode().split("</nav>")[-1]
    scene.has(type="http", url=far_end.url)
    scene.once()
    assert "given what is sealed" in operator.get(start).content.decode()
    scene.records(1)
    far_end.usual = lambda path, body: Answer(500, b"away")
    with pytest.raises(GaveUp):
        scene.once()
    assert f"{scene.name}: failing" in operator.get(start).content.decode()
