"""How far a target is behind shows in figures, and is told where it lasts."""

from datetime import timedelta
from typing import Any

import pytest

from audit.gauges import Gauges
from audit.models import OutboxAlarm, Stream
from audit.postgres import sql
from audit.streams import cursor, state
from audit.streams.stream import GaveUp
from tests.audit.streams.conftest import Answer, FarEnd, Scene


@pytest.fixture(autouse=True)
def others_have_ended() -> None:
    """What other tests have streamed is nobody's business here."""
    Stream.objects.filter(ended_at=None).update(ended_at=sql.now())


def lag(scene: Scene) -> state.Lag:
    return state.lag_of(scene.row())


def gauge(name: str, target: str) -> float:
    families = {family.name: family for family in Gauges().collect()}
    return next(sample.value for sample in families[name].samples if sample.labels["target"] == target)


def test_a_target_with_all_records_is_up_to_date(scene: Scene, far_end: FarEnd) -> None:
    scene.has(type="http", url=far_end.url)
    scene.records(2)
    scene.once()
    assert (lag(scene).records, lag(scene).seconds, lag(scene).state) == (0, 0.0, "up to date")
    assert gauge("audit_stream_lag_records", scene.name) == 0


def test_a_target_that_fails_shows_what_it_lacks_and_since_when(scene: Scene, far_end: FarEnd) -> None:
    scene.has(type="http", url=far_end.url)
    scene.records(3)
    far_end.usual = lambda path, body: Answer(403, b"no")
    with pytest.raises(GaveUp):
        scene.once()
    found = lag(scene)
    assert found.state == "failing" and found.records >= 3 and found.seconds > 0
    assert gauge("audit_stream_failing", scene.name) == 1
    assert gauge("audit_stream_lag_records", scene.name) >= 3
    assert gauge("audit_stream_lag_seconds", scene.name) > 0
    assert scene.row().samples[-1][1] >= 3


def test_a_target_that_no_streamer_works_on_says_so(scene: Scene, far_end: FarEnd) -> None:
    scene.has(type="http", url=far_end.url)
    scene.once()
    Stream.objects.filter(pk=scene.name).update(seen_at=sql.now() - timedelta(seconds=61))
    assert lag(scene).state == "no streamer"


def test_a_target_that_is_behind_for_long_is_told_once_until_it_has_caught_up(
    scene: Scene, far_end: FarEnd, settings: Any
) -> None:
    scene.has(type="http", url=far_end.url)
    scene.once()
    scene.records(2)
    told = OutboxAlarm.objects.filter(alarm="audit.stream", text__contains=scene.name)
    assert state.alarm() == 0
    settings.STREAM_ALARM_S = 0.0
    assert state.alarm() == 1
    assert state.alarm() == 0
    assert told.count() == 1
    assert "Nothing is lost" in told.get().text
    scene.once()
    assert state.alarm() == 0
    scene.records(1)
    assert state.alarm() == 1
    assert told.count() == 2


def test_a_target_that_has_ended_is_neither_counted_nor_told(scene: Scene, far_end: FarEnd, settings: Any) -> None:
    scene.has(type="http", url=far_end.url)
    scene.once()
    scene.records(2)
    cursor.end(scene.name, by="op")
    settings.STREAM_ALARM_S = 0.0
    assert state.alarm() == 0
    assert lag(scene).state == "ended"
    families = {family.name: family for family in Gauges().collect()}
    assert scene.name not in str(families["audit_stream_lag_records"].samples)
