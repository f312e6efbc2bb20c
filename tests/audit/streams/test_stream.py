"""A target is given the log: each record at least once, in order, none left out, whatever it answers."""

import json
import random
import threading
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from audit.errors import Invalid
from audit.models import Record, Stream
from audit.streams import cursor, kinds, state
from audit.streams import stream as streaming
from audit.streams.cursor import CursorLost, StreamHeld
from audit.streams.faults import Unavailable
from audit.streams.stream import GaveUp, stream
from tests.audit.streams.conftest import Answer, FarEnd, Scene


def test_each_record_is_sent_once_in_order_and_the_cursor_is_behind_the_last(scene: Scene, far_end: FarEnd) -> None:
    scene.has(type="http", url=far_end.url, batch_records=4)
    leaves = scene.records(10)
    # That the stream begins is a record, too: it may be sealed meanwhile.
    assert scene.once() >= 10
    assert far_end.leaves()[:10] == leaves
    assert [len(body.splitlines()) for body in far_end.taken][:2] == [4, 4]
    row = scene.row()
    assert (row.position, row.problem, row.refused) == (far_end.leaves()[-1] + 1, "", 0)
    assert row.records == len(far_end.lines())


def test_a_target_goes_on_where_it_was(scene: Scene, far_end: FarEnd) -> None:
    scene.has(type="http", url=far_end.url)
    scene.records(3)
    scene.once()
    scene.records(3)
    scene.once()
    leaves = far_end.leaves()
    assert leaves == [*range(scene.first, leaves[-1] + 1)]
    assert scene.once() == 0


def test_a_batch_ends_at_its_bytes(scene: Scene, far_end: FarEnd) -> None:
    scene.has(type="http", url=far_end.url, batch_mb=0.01)
    scene.records(8, event_data={"text": "x" * 3_000})
    scene.once()
    assert len(far_end.taken) >= 4
    assert all(len(body) <= 10_486 + 3_000 for body in far_end.taken)
    assert far_end.leaves() == [*range(scene.first, scene.row().position)]


def test_errors_in_turns_and_cut_connections_lose_nothing_and_keep_the_order(scene: Scene, far_end: FarEnd) -> None:
    scene.has(type="http", url=far_end.url, batch_records=3)
    scene.records(12)
    far_end.answers = [
        *(Answer(500), Answer(429), Answer(cut=True), Answer(), Answer(503), Answer(429), Answer(500)),
        *(Answer(), Answer(cut=True), Answer(502)),
    ]
    scene.once()
    assert far_end.leaves() == [*range(scene.first, scene.row().position)]
    assert scene.row().position >= scene.first + 12


def test_a_batch_that_was_taken_without_an_answer_is_sent_again(scene: Scene, far_end: FarEnd) -> None:
    scene.has(type="http", url=far_end.url)
    leaves = scene.records(4)
    far_end.answers = [Answer(cut=True)]
    scene.once()
    sent = [[json.loads(line)["leaf_index"] for line in body.splitlines()] for _, _, body in far_end.asked]
    assert sent[0][:4] == sent[1][:4] == leaves


def test_pauses_double_up_to_a_minute_however_long_a_target_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the pauses as they are
    monkeypatch.setattr(random, "uniform", lambda least, most: most)
    away = Unavailable("nobody listens")
    assert [streaming._pause_s(away, tries) for tries in range(1, 10)] == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    assert streaming._pause_s(away, 100_000) == 60
    assert streaming._pause_s(Unavailable("later", 3_600.0), 1) == 3_600.5


def test_a_target_that_is_away_holds_nothing_and_moves_nothing(scene: Scene, far_end: FarEnd) -> None:
    scene.has(type="http", url=far_end.url, batch_records=2)
    far_end.close()
    scene.records(5)
    with pytest.raises(GaveUp, match="did not answer"):
        scene.once()
    row, lag = scene.row(), state.lag_of(scene.row())
    assert (row.position, row.records, row.taken_at) == (scene.first, 0, None)
    assert lag.records >= 5 and lag.seconds > 0 and lag.state == "failing"


def test_a_target_is_not_asked_before_the_time_that_it_named(scene: Scene, far_end: FarEnd) -> None:
    scene.has(type="http", url=far_end.url)
    scene.records(1)
    far_end.answers = [Answer(429, headers=(("Retry-After", "1"),)), Answer()]
    scene.once()
    assert far_end.at[1] - far_end.at[0] >= 1.0


def test_a_run_that_does_not_follow_gives_up_and_says_what_the_target_said(scene: Scene, far_end: FarEnd) -> None:
    scene.has(type="http", url=far_end.url)
    scene.records(2)
    far_end.usual = lambda path, body: Answer(401, b"who are you?")
    with pytest.raises(GaveUp, match=r"answered 401: who are you\?"):
        scene.once()
    row = scene.row()
    assert row.position == scene.first
    assert "401" in row.problem and row.problem_since is not None
    far_end.usual = lambda path, body: Answer()
    scene.once()
    assert far_end.leaves()[0] == scene.first
    assert scene.row().problem == "" and scene.row().problem_since is None


def test_a_slow_target_is_cut_off_at_its_deadline(scene: Scene, far_end: FarEnd, monkeypatch: Any) -> None:
    scene.has(type="http", url=far_end.url, timeout_s=0.2)
    scene.records(1)
    far_end.slow_s = 0.6
    monkeypatch.setattr(streaming, "TRIES", 1)
    with pytest.raises(GaveUp, match="did not answer"):
        scene.once()


def refusing(poison: str) -> Any:
    """A server that refuses each batch with this text in it, and does not say why."""
    return lambda path, body: Answer(400, b"bad record") if poison.encode() in body else Answer()


def test_a_record_that_is_refused_is_sent_as_a_reference_and_the_line_goes_on(scene: Scene, far_end: FarEnd) -> None:
    scene.has(type="http", url=far_end.url, batch_records=8)
    scene.records(3)
    [poison] = scene.records(1, event_data={"text": "poison"})
    scene.records(3)
    far_end.usual = refusing("poison")
    scene.once()
    assert far_end.leaves() == [*range(scene.first, scene.row().position)]
    reference = next(line for line in far_end.lines() if line["leaf_index"] == poison)
    assert reference["left_out"] == "400: bad record" and "event_data" not in reference
    assert reference["event_id"] == str(Record.objects.get(digest=bytes.fromhex(reference["digest"])).pk)
    row = scene.row()
    assert row.refused == 1
    assert [(each["index"], each["why"]) for each in row.refusals] == [(poison, "400: bad record")]


def test_a_target_that_refuses_everything_stops_the_line_with_a_problem(scene: Scene, far_end: FarEnd) -> None:
    scene.has(type="http", url=far_end.url)
    scene.records(3)
    far_end.usual = lambda path, body: Answer(400, b"never")
    with pytest.raises(GaveUp, match="even without its content"):
        scene.once()
    assert scene.row().position == scene.first


def test_a_target_that_refuses_a_row_of_records_stops_the_line(
    scene: Scene, far_end: FarEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "REFUSED_IN_A_ROW", 3)
    scene.has(type="http", url=far_end.url)
    scene.records(6, event_data={"text": "poison"})
    far_end.usual = refusing("poison")
    with pytest.raises(GaveUp, match="refuses 3 records in a row"):
        scene.once()
    assert scene.row().position == scene.first + 3


def test_a_record_that_is_too_large_for_the_target_is_a_reference(scene: Scene, far_end: FarEnd) -> None:
    scene.has(type="http", url=far_end.url, max_record_bytes=2_000)
    [large] = scene.records(1, event_data={"text": "x" * 4_000})
    scene.once()
    line = far_end.lines()[0]
    assert line["leaf_index"] == large
    assert line["left_out"].endswith("and the target takes 2,000")
    assert scene.row().refused == 1


def test_a_stream_that_begins_changes_or_ends_is_a_record_first(scene: Scene, far_end: FarEnd) -> None:
    scene.has(type="http", url=far_end.url)
    scene.once()
    scene.has(type="http", url=far_end.url, unredacted=False)
    scene.once()
    cursor.end(scene.name, by="op")
    acts = Record.objects.filter(correlation_id=f"stream-{scene.name}").order_by("event_timestamp")
    assert [act.event_type.rsplit(".", 1)[-1] for act in acts] == ["begun", "changed", "ended"]
    assert [act.event_data.get("unredacted") for act in acts] == [True, False, None]
    assert acts[0].event_data["place"] == far_end.url and acts[0].event_data["first"] == scene.first
    assert scene.row().ended_at is not None


def test_a_second_streamer_is_told_that_there_is_one(scene: Scene, far_end: FarEnd) -> None:
    scene.has(type="http", url=far_end.url)
    scene.once()
    assert _beside_another(scene) == f"Another streamer works on {scene.name}: one at a time moves its cursor."


def test_a_streamer_that_does_not_hold_a_target_does_not_say_where_it_goes(scene: Scene, far_end: FarEnd) -> None:
    """As one on another host, with another file: the row and the records are of the one that is at work."""
    scene.has(type="http", url=far_end.url)
    scene.once()
    scene.has(type="http", url=f"{far_end.url}/other")
    assert "Another streamer works on" in _beside_another(scene)
    assert scene.row().place == far_end.url
    acts = Record.objects.filter(correlation_id=f"stream-{scene.name}", event_type="audit.stream.changed")
    assert not acts.exists()
    scene.once()
    assert scene.row().place == f"{far_end.url}/other" and acts.count() == 1


def _beside_another(scene: Scene) -> str:
    """What a streamer says while another one holds the target."""
    answers: list[str] = []

    def second() -> None:
        try:
            scene.once()
        except StreamHeld as held:
            answers.append(str(held))
        finally:
            connections.close_all()

    with cursor.hold(scene.name):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    [answer] = answers
    return answer


def test_a_streamer_that_another_took_over_from_cannot_move_the_cursor(scene: Scene, far_end: FarEnd) -> None:
    """As where a failover, or a session that two clients had, gave the lock to the other."""
    scene.has(type="http", url=far_end.url)
    scene.once()
    with cursor.hold(scene.name) as first:
        Stream.objects.filter(pk=scene.name).update(holder=uuid.uuid4())
        with pytest.raises(CursorLost):
            first.move(first.position + 1, records=1, size=0, refused={}, taken_bytes=0)


def test_who_follows_waits_for_the_other_streamer_and_then_goes_on(scene: Scene, far_end: FarEnd) -> None:
    scene.has(type="http", url=far_end.url)
    scene.once()
    stop = threading.Event()
    with cursor.hold(scene.name):
        following = threading.Thread(target=_follow, args=(scene.name, stop))
        following.start()
        scene.records(2)
        following.join(0.2)
        assert far_end.leaves() == []
    _until(lambda: len(far_end.leaves()) >= 2)
    stop.set()
    following.join()
    assert far_end.leaves()[:2] == [scene.first, scene.first + 1]


def test_who_follows_goes_on_after_postgresql_was_away(scene: Scene, far_end: FarEnd, postgres: Any) -> None:
    scene.has(type="http", url=far_end.url)
    scene.records(2)
    stop = threading.Event()
    following = threading.Thread(target=_follow, args=(scene.name, stop))
    following.start()
    _until(lambda: len(far_end.leaves()) >= 2)
    with postgres.killed():
        pass
    scene.records(2)
    _until(lambda: scene.first + 3 in far_end.leaves())
    stop.set()
    following.join()
    assert sorted(set(far_end.leaves())) == [*range(scene.first, max(far_end.leaves()) + 1)]


def test_a_target_can_be_given_the_log_again_from_an_earlier_entry(scene: Scene, far_end: FarEnd) -> None:
    scene.has(type="http", url=far_end.url)
    leaves = scene.records(4)
    scene.once()
    cursor.place_at(scene.name, leaves[2], by="op")
    far_end.taken.clear()
    scene.once()
    assert far_end.leaves()[:2] == leaves[2:]
    with pytest.raises(Invalid, match="and the log has the entries"):
        cursor.place_at(scene.name, 2**40, by="op")


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"type": "http"}, "url: is missing"),
        ({"type": "pigeon"}, "take one of file, http"),
        ({"type": "http", "url": "https://u:p@h/"}, "neither a password nor a query"),
        ({"type": "http", "url": "http://h", "token": "s3cret"}, "must not stand in the file: name token_file"),
        ({"type": "http", "url": "http://h", "colour": 1}, "is not known to a target of the type http"),
        ({"type": "http", "url": "http://h", "batch_records": 0}, "must be from 1 to 10000"),
        ({"type": "http", "url": "http://h", "max_record_bytes": 5}, "a reference has to fit"),
        ({"type": "splunk", "url": "http://h"}, "token_file: is missing"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(scene: Scene, members: dict[str, Any], said: str) -> None:
    scene.has(**members)
    with pytest.raises(Invalid, match=said) as refusal:
        kinds.plan_of(scene.name)
    assert "s3cret" not in str(refusal.value)


def test_secrets_come_from_files_and_the_environment_and_are_in_no_row(
    scene: Scene, far_end: FarEnd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("Bearer from-a-file\n", encoding="utf-8")
    scene.has(type="http", url=far_end.url, authorization_file=str(tmp_path / "secret"))
    scene.records(1)
    scene.once()
    assert far_end.asked[0][1]["Authorization"] == "Bearer from-a-file"
    monkeypatch.setenv("STREAM_SECRET", "Bearer from-the-environment")
    scene.has(type="http", url=far_end.url, authorization_env="STREAM_SECRET", authorization_header="X-Key")
    scene.records(1)
    scene.once()
    assert far_end.asked[-1][1]["X-Key"] == "Bearer from-the-environment"
    row = Stream.objects.filter(pk=scene.name).values().get()
    acts = Record.objects.filter(correlation_id=f"stream-{scene.name}")
    assert "from-" not in f"{row}{[act.event_data for act in acts]}"


def test_a_secret_that_no_header_can_have_is_not_shown(scene: Scene, far_end: FarEnd, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("first\nsecond", encoding="utf-8")
    scene.has(type="http", url=far_end.url, authorization_file=str(tmp_path / "secret"))
    scene.records(1)
    with pytest.raises(GaveUp, match="has a line end") as gave_up:
        scene.once()
    assert "second" not in str(gave_up.value)


def _follow(name: str, stop: threading.Event) -> None:
    try:
        stream(kinds.plan_of(name), stop, follow=True)
    finally:
        connections.close_all()


def _until(holds: Any, seconds: float = 60) -> None:
    """Wait until something holds."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if holds():
            return
        pause.wait(0.02)
    raise AssertionError("it did not come about")
