"""No place of the log is left out: what is gone, erased or redacted has a line of its own."""

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from audit.errors import LogDamaged
from audit.evidence import redaction
from audit.evidence.erasure import requests
from audit.evidence.erasure.requests import Asked
from audit.formats.erasable.rules import Rule, Rules
from audit.ledger import purged, reader
from audit.models import Leaf, Record, RedactionRule, Stream
from audit.postgres import sql
from audit.retention import purge
from audit.streams import cursor, leaves, state
from tests.audit.conftest import Sender
from tests.audit.evidence.conftest import OFFICER, sealed
from tests.audit.retention.conftest import BEN, aged, ago, approved, seal, short
from tests.audit.streams.conftest import FarEnd, Scene

ENTRIES = "/api/v1/audit/log/entries"


def test_a_line_is_the_record_with_its_place_in_the_log(scene: Scene, far_end: FarEnd) -> None:
    scene.has(type="http", url=far_end.url)
    [leaf] = scene.records(1, event_data={"n": 1, "text": "ü \n"})
    scene.once()
    line = far_end.lines()[0]
    record = Record.objects.get(pk=line["event_id"])
    assert (line["leaf_index"], line["state"], line["event_data"]) == (leaf, "sealed", {"n": 1, "text": "ü \n"})
    assert line["digest"] == bytes(record.digest).hex() and line["writer"] == record.writer
    assert bytes(Leaf.objects.get(index=leaf).record_id.bytes) == UUID(line["event_id"]).bytes


def test_polling_the_log_gives_the_same_lines(scene: Scene, far_end: FarEnd, reader: Sender) -> None:
    scene.has(type="http", url=far_end.url, batch_records=4)
    scene.records(7, event_data={"text": "ü", "n": [1, 2.5, None]})
    scene.once()
    polled: list[Any] = []
    place = scene.first
    while place < scene.row().position:
        answer = reader.get(ENTRIES, **{"from": place, "limit": 3}).json()
        polled += answer["entries"]
        assert answer["next"] == place + len(answer["entries"]) <= answer["size"]
        place = answer["next"]
    assert polled[: len(far_end.lines())] == far_end.lines()


def test_a_poll_at_the_end_has_nothing_and_one_behind_it_is_refused(reader: Sender) -> None:
    seal()
    size = Leaf.objects.order_by("-index").first().index + 1  # type: ignore[union-attr]
    assert reader.get(ENTRIES, **{"from": size}).json()["entries"] == []
    assert reader.get(ENTRIES, **{"from": 2**50}).status_code == 404
    assert reader.get(ENTRIES, **{"from": 0, "limit": 0}).status_code == 400
    assert reader.get(ENTRIES).status_code == 400


def test_a_page_ends_at_its_bytes(reader: Sender, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.api.ledger.MAX_LINES_BYTES", 5_000)
    scene.records(4, event_data={"text": "x" * 2_000})
    answer = reader.get(ENTRIES, **{"from": scene.first, "limit": 100}).json()
    assert 1 <= len(answer["entries"]) < 4
    assert answer["next"] == scene.first + len(answer["entries"])


def test_who_may_read_some_writers_alone_is_not_given_the_log(service: Sender) -> None:
    some = Sender("read")
    some.writer.reads_writers = [service.name]
    some.writer.save()
    assert some.get(ENTRIES, **{"from": 0}).status_code == 403


def test_a_purged_record_is_a_tombstone_with_its_leaf_hash(elsewhere: Any, scene: Scene, far_end: FarEnd) -> None:
    scene.has(type="http", url=far_end.url)
    category = short()
    sealed(2)
    gone = [aged(ago(40), event_category=category) for _ in range(2)]
    seal()
    sealed(2)
    purge.run(approved(), by=BEN)
    seal()
    scene.once()
    assert far_end.leaves() == [*range(scene.first, scene.row().position)]
    stones = {line["event_id"]: line for line in far_end.lines() if line["state"] == "purged"}
    assert stones.keys() >= {str(key) for key in gone}
    for key in gone:
        leaf = Leaf.objects.get(record_id=key)
        stone = stones[str(key)]
        assert (stone["leaf_index"], stone["leaf_hash"]) == (leaf.index, bytes(leaf.leaf_hash).hex())
        assert stone["purge"] == purged.plans_at([leaf.index])[leaf.index]
        assert "event_data" not in stone
        # Where a reading ends with it, too.
        with closing(leaves.Log()) as log:
            assert [line.leaf for line in log.read(scene.first, leaf.index + 1)] == [
                *range(scene.first, leaf.index + 1)
            ]


def test_a_target_whose_next_record_was_purged_waits_since_the_next_that_is_there(
    elsewhere: Any, scene: Scene, far_end: FarEnd
) -> None:
    scene.has(type="http", url=far_end.url)
    category = short()
    seal()
    scene.once()
    gone, kept = aged(ago(40), event_category=category), aged(ago(30), event_category="gateway")
    seal()
    purge.run(approved(), by=BEN)
    first = Leaf.objects.get(record_id=gone).index
    Stream.objects.filter(pk=scene.name).update(position=first)
    assert not Record.objects.filter(pk=gone).exists()
    stored_at = Record.objects.get(pk=kept).stored_at
    waited = sql.now() - stored_at
    assert state.lag_of(scene.row()).seconds >= waited.total_seconds()
    assert state.lag_of(scene.row()).seconds < (waited + timedelta(hours=1)).total_seconds()


def test_what_was_erased_before_it_was_streamed_is_not_in_its_line(scene: Scene, far_end: FarEnd) -> None:
    rules = Rules([Rule(name="mail", path="event_data.email", reason="r")])
    scene.has(type="http", url=far_end.url)
    mail = f"{scene.name}@example.org"
    before = reader.signed_size()
    sealed(1, erasing=rules, event_data={"email": mail, "kept": 1})
    scene.once()
    [seen] = [line for line in far_end.lines() if line["leaf_index"] == before]
    assert seen["event_data"]["email"] == mail
    record = Record.objects.get(pk=seen["event_id"])
    erase(record)
    far_end.taken.clear()
    cursor.place_at(scene.name, before, by="op")
    scene.once()
    [after] = [line for line in far_end.lines() if line["leaf_index"] == before]
    assert mail not in json.dumps(after)
    assert after["event_data"]["kept"] == 1 and "event_data.email" in after["erased"]


def erase(record: Record) -> None:
    request = requests.ask(Asked("ids", str(record.pk), "event_data.email", "GDPR Art. 17", "a test"), by="ann")
    requests.decide(request, approve=True, by=OFFICER)
    requests.carry_out_all(seconds=20)


def test_rules_of_redaction_hold_unless_the_file_says_otherwise(scene: Scene, far_end: FarEnd) -> None:
    kind = f"redacted.{scene.name.replace('-', '')}"
    rule = RedactionRule(
        name=scene.name, path="event_data.secret", method="remove", event_type=kind, reason="a test", active=True
    )
    redaction.save_rule(rule, by=OFFICER)
    try:
        scene.has(type="http", url=far_end.url, unredacted=False)
        scene.records(1, event_type=kind, event_data={"secret": "s3cret", "kept": 1})
        scene.once()
        (line,) = [line for line in far_end.lines() if line.get("event_type") == kind]
        assert line["event_data"] == {"kept": 1}
        assert line["redacted"] == {"event_data.secret": scene.name}
    finally:
        rule.active = False
        redaction.save_rule(rule, by=OFFICER)


def test_a_record_that_is_gone_without_a_purge_stops_the_line(superuser: Any, elsewhere: Any) -> None:
    place = {"password": superuser.info.password, "dbname": f"{elsewhere.name}_now", "autocommit": True}
    with psycopg.connect(superuser.info.dsn, **place) as adversary:
        adversary.execute("SET session_replication_role = replica")
        [(table,)] = adversary.execute(
            "SELECT tableoid::regclass::text FROM audit_record "
            "WHERE id = (SELECT record_id FROM audit_leaf WHERE index = 7)"
        ).fetchall()
        for each in ("audit_record", table):
            adversary.execute(f"ALTER TABLE {each} DISABLE TRIGGER USER".encode())
        adversary.execute("DELETE FROM audit_record WHERE id = (SELECT record_id FROM audit_leaf WHERE index = 7)")
    log = leaves.Log()
    try:
        with pytest.raises(LogDamaged, match="verify the log"):
            [*log.read(0, 20)]
        assert [line.leaf for line in log.read(8, 20)] == [*range(8, 20)]
    finally:
        log.close()


def test_a_reading_that_is_given_up_does_not_spoil_the_next(scene: Scene) -> None:
    scene.records(6)
    log = leaves.Log()
    try:
        reading = log.read(scene.first, scene.first + 6)
        assert next(reading).leaf == scene.first
        reading.close()
        assert [line.leaf for line in log.read(scene.first + 3, scene.first + 6)] == [
            scene.first + 3,
            scene.first + 4,
            scene.first + 5,
        ]
    finally:
        log.close()


def test_a_time_is_written_in_utc(scene: Scene) -> None:
    scene.records(1)
    log = leaves.Log()
    try:
        [line] = log.read(scene.first, scene.first + 1)
        assert datetime.fromisoformat(line.document()["stored_at"]).tzinfo == UTC
    finally:
        log.close()
