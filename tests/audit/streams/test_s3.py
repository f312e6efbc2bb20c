"""Streams to a bucket: objects by day and first log entry, each record at least once, whatever kills the streamer."""

import gzip
import json
import re
import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from audit.errors import Invalid
from audit.models import Stream
from audit.streams import kinds
from audit.streams.stream import GaveUp, stream
from tests.audit.buckets.conftest import Ours, gateway, locking, plain
from tests.audit.streams.conftest import Scene
from tests.audit.streams.killed import killed_at

pytestmark = pytest.mark.slow

__all__ = ["gateway", "locking", "plain"]

NAME = re.compile(r"lake/day=(\d{4}-\d\d-\d\d)/(t-[0-9a-f]+)-(\d{12})-[0-9a-f]{8}\.jsonl\.gz\Z")


@pytest.fixture
def lake(scene: Scene, plain: Ours, monkeypatch: pytest.MonkeyPatch) -> Ours:
    """A bucket to which the scene streams three records an object."""
    to_bucket(scene, plain, monkeypatch)
    return plain


def to_bucket(scene: Scene, ours: Ours, monkeypatch: pytest.MonkeyPatch, **more: Any) -> None:
    storage = ours.gateway.storage
    monkeypatch.setenv("LAKE_SECRET", storage.secret_key)
    members = {"bucket": ours.name, "prefix": "lake", "endpoint": storage.endpoint, "addressing": "path"}
    members |= {"access_key_id": storage.access_key, "secret_access_key_env": "LAKE_SECRET", "batch_records": 3}
    scene.has(type="s3", **(members | more))


def leaves(ours: Ours) -> list[int]:
    """All log entries of the objects, in the order of their names."""
    lines = [line for key in sorted(ours.names()) for line in gzip.decompress(ours.body(key)).splitlines()]
    return [json.loads(line)["leaf_index"] for line in lines]


def test_a_target_whose_name_begins_that_of_another_has_objects_of_its_own(scene: Scene, lake: Ours) -> None:
    """Below one prefix the newest object of the other is not its own."""
    of_one, other = scene.file.read_text(encoding="utf-8"), f"{scene.name}-9"
    scene.file.write_text(of_one + of_one.replace(scene.name, other, 1), encoding="utf-8")
    scene.records(3)
    stream(kinds.plan_of(other), threading.Event(), follow=False)
    scene.once()
    found, last = leaves(lake), Stream.objects.get(pk=other).position
    assert [found.count(index) for index in range(scene.first, last)] == [2] * (last - scene.first)


def test_objects_have_every_record_once_in_order_and_are_named_by_day_and_first_entry(scene: Scene, lake: Ours) -> None:
    scene.records(8)
    scene.once()
    last = scene.row().position
    assert leaves(lake) == [*range(scene.first, last)]
    named = [NAME.match(key) for key in sorted(lake.names())]
    assert all(named)
    firsts = [int(match[3]) for match in named if match]
    assert firsts == [*range(scene.first, last, 3)]
    assert {match[2] for match in named if match} == {scene.name}
    assert {match[1] for match in named if match} <= {f"{datetime.now(UTC):%Y-%m-%d}"}
    assert Stream.objects.get(pk=scene.name).place == f"s3://{lake.name}/lake"


@pytest.mark.parametrize("step", ["before a batch is sent", "before the cursor moves"])
def test_a_streamer_that_is_killed_loses_nothing_and_sends_nothing_twice(scene: Scene, lake: Ours, step: str) -> None:
    scene.records(14)
    killed_at(step, scene)
    row = scene.row()
    assert scene.first < row.position < scene.first + 14
    scene.once()
    assert leaves(lake) == [*range(scene.first, scene.row().position)]


def test_a_batch_that_is_sent_again_is_the_same_object(
    scene: Scene, lake: Ours, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.records(6)
    scene.once()
    before = lake.names()
    Stream.objects.filter(pk=scene.name).update(position=scene.first)
    monkeypatch.setattr("audit.streams.targets.s3.S3Target.resume", lambda self: None)
    scene.once()
    assert lake.names() == before


def test_a_prefix_with_something_else_in_the_place_of_the_newest_object_is_named(scene: Scene, lake: Ours) -> None:
    lake.put(f"lake/day=2999-01-01/{scene.name}-000000000001-00000000.jsonl.gz", b"no gzip")
    scene.records(1)
    with pytest.raises(GaveUp, match="the newest object is none of a stream"):
        scene.once()


def test_a_secret_that_is_wrong_is_a_problem_until_it_is_right(
    scene: Scene, lake: Ours, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.records(3)
    monkeypatch.setenv("LAKE_SECRET", "another")
    with pytest.raises(GaveUp, match="the secret is not that of the access key"):
        scene.once()
    assert scene.row().position == scene.first
    assert "another" not in scene.row().problem
    monkeypatch.setenv("LAKE_SECRET", lake.gateway.storage.secret_key)
    scene.once()
    assert leaves(lake) == [*range(scene.first, scene.row().position)]


def test_without_a_server_of_its_own_a_target_goes_where_archives_go(scene: Scene, plain: Ours, settings: Any) -> None:
    settings.S3 = plain.gateway.storage
    scene.has(type="s3", bucket=plain.name, prefix="lake")
    scene.records(2)
    scene.once()
    assert leaves(plain) == [*range(scene.first, scene.row().position)]


def test_few_records_wait_for_more_and_go_together(scene: Scene, plain: Ours, monkeypatch: pytest.MonkeyPatch) -> None:
    to_bucket(scene, plain, monkeypatch, batch_records=10_000, hold_s=3_600)
    scene.records(2)
    stop = threading.Event()
    seen = []

    def sees(cursor: Any, size: int) -> None:
        seen.append(size)
        if len(seen) == 3:
            stop.set()

    with monkeypatch.context() as patch:
        patch.setattr("audit.streams.cursor.Cursor.seen", sees)
        stream(kinds.plan_of(scene.name), stop, follow=True)
    assert plain.names() == set(), "it waits"
    to_bucket(scene, plain, monkeypatch, batch_records=10_000, hold_s=0.01)
    stop.clear()
    moved = kinds.S3Target.send

    def sends(target: Any, lines: Any) -> None:
        moved(target, lines)
        stop.set()

    monkeypatch.setattr("audit.streams.targets.s3.S3Target.send", sends)
    stream(kinds.plan_of(scene.name), stop, follow=True)
    assert leaves(plain) == [*range(scene.first, scene.row().position)]
    assert len(plain.names()) == 1


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"bucket": "UPPER"}, "is no bucket"),
        ({"bucket": "lake", "endpoint": "s3.example.org"}, "must be an address that begins with https://"),
        ({"bucket": "lake", "access_key_id": "A"}, "secret_access_key_file: is missing"),
        ({"bucket": "lake", "secret": "x"}, "must not stand in the file"),
    ],
)
def test_what_a_target_cannot_be_is_named(scene: Scene, members: dict[str, str], says: str) -> None:
    scene.has(type="s3", **members)
    with pytest.raises(Invalid, match=says.replace(".", r"\.")):
        kinds.plan_of(scene.name)
