"""Manifests: a writer states what it made, and learns what of it never came."""

import hashlib
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import uuid_utils.compat
from django.db import connections
from django.test.utils import CaptureQueriesContext

from audit.completeness import explain, reconcile
from audit.ledger import seal
from audit.models import Gap, Manifest, Record
from tests.audit.completeness.conftest import follow, ids_digest, numbered
from tests.audit.conftest import BATCH, EVENTS, Sender, an_event

MANIFESTS = "/api/v1/audit/manifests"
SINCE, UNTIL = "2026-08-18T10:00:00Z", "2026-08-18T11:00:00Z"


@pytest.fixture
def sender() -> Sender:
    return Sender("write")


def a_manifest(**changes: Any) -> dict[str, Any]:
    return {"since": SINCE, "until": UNTIL, **changes}


def with_ids(count: int) -> list[dict[str, Any]]:
    return [an_event(event_id=str(uuid_utils.compat.uuid7())) for _ in range(count)]


def test_a_manifest_by_numbers_is_complete_when_all_came(sender: Sender) -> None:
    events = numbered(1, 2, 3)
    sender.post(events, BATCH)
    answer = sender.post(a_manifest(count=3, first_seq=1, last_seq=3, ids_digest=ids_digest(events)), MANIFESTS)
    assert answer.status_code == 200, answer.content
    assert answer.json()["state"] == "complete"
    assert answer.json()["missing_numbers"] == []
    assert Manifest.objects.get(writer=sender.name).state == "closed"


def test_missing_numbers_are_named_in_runs(sender: Sender) -> None:
    sender.post(numbered(12, 15, 16, source_epoch="b"), BATCH)
    sender.post(numbered(13), BATCH)  # of another epoch
    answer = sender.post(a_manifest(count=8, first_seq=11, last_seq=18, source_epoch="b"), MANIFESTS).json()
    assert (answer["state"], answer["came"], answer["missing"]) == ("incomplete", 3, 5)
    assert answer["missing_numbers"] == [
        {"first": 11, "last": 11},
        {"first": 13, "last": 14},
        {"first": 17, "last": 18},
    ]


def test_a_writer_without_numbers_names_its_events_by_their_ids(sender: Sender) -> None:
    one, lost, three = with_ids(3)
    sender.post([one, three], BATCH)
    ids = [event["event_id"] for event in (one, lost, three)]
    answer = sender.post(a_manifest(count=3, event_ids=ids), MANIFESTS).json()
    assert (answer["state"], answer["missing_ids"]) == ("incomplete", [lost["event_id"]])


def test_an_event_of_another_writer_is_not_this_one_s(sender: Sender) -> None:
    (event,) = with_ids(1)
    Sender("write").post(event)
    answer = sender.post(a_manifest(count=1, event_ids=[event["event_id"]]), MANIFESTS).json()
    assert answer["missing_ids"] == [event["event_id"]]


@pytest.mark.parametrize(("count", "state"), [(2, "complete"), (3, "incomplete"), (1, "differs")])
def test_a_count_for_a_window_is_compared_with_what_came_in_it(sender: Sender, count: int, state: str) -> None:
    inside = [an_event(event_timestamp=f"2026-08-18T10:{minute}:00Z") for minute in ("00", "59")]
    sender.post([*inside, an_event(event_timestamp=UNTIL)], BATCH)
    assert sender.post(a_manifest(count=count), MANIFESTS).json()["state"] == state


def test_the_digest_over_contents_tells_other_events_apart(sender: Sender) -> None:
    events = with_ids(2)
    for event in events:
        sender.post(event)
    rows = Record.objects.filter(id__in=[event["event_id"] for event in events]).order_by("id")
    contents = hashlib.sha256(b"".join(bytes(row.digest) for row in rows)).hexdigest()
    assert sender.post(a_manifest(count=2, contents_digest=contents), MANIFESTS).json()["state"] == "complete"
    other = contents.translate(str.maketrans("0123456789", "1234567890"))
    assert sender.post(a_manifest(count=2, contents_digest=other), MANIFESTS).json()["state"] == "differs"


def test_a_number_that_came_twice_is_a_surplus(sender: Sender) -> None:
    sender.post(numbered(1, 2, 2), BATCH)
    answer = sender.post(a_manifest(count=2, first_seq=1, last_seq=2), MANIFESTS).json()
    assert (answer["state"], answer["surplus"]) == ("differs", 1)


def test_what_comes_late_closes_the_manifest(sender: Sender) -> None:
    one, two = numbered(1, 2)
    sender.post(one)
    stated = sender.post(a_manifest(count=2, first_seq=1, last_seq=2), MANIFESTS).json()
    sender.post(two)
    follow()
    assert Manifest.objects.get(writer=sender.name).state == "closed"
    assert sender.get(f"{MANIFESTS}/{stated['manifest_id']}").json()["state"] == "complete"


@pytest.mark.parametrize("strange", [{"source_epoch": "a\x00"}, {"source_epoch": "\ud800"}, {"\ud800": 1}])
def test_a_manifest_that_no_database_can_hold_is_refused(sender: Sender, strange: dict[str, Any]) -> None:
    answer = sender.post(a_manifest(count=1, first_seq=1, last_seq=1, **strange), MANIFESTS)
    assert answer.status_code == 400
    assert answer.json()["field_errors"]


def test_an_id_that_no_manifest_can_have_is_not_found(sender: Sender) -> None:
    assert sender.get(f"{MANIFESTS}/a%00b").status_code == 404


def test_the_same_manifest_again_is_the_same_one_and_recorded_once(sender: Sender) -> None:
    said = a_manifest(count=0)
    first, second = (sender.post(said, MANIFESTS).json()["manifest_id"] for _ in range(2))
    assert first == second
    assert Record.objects.filter(correlation_id=f"manifest-{first}").count() == 1
    assert Sender("write").get(f"{MANIFESTS}/{first}").status_code == 404


@pytest.mark.parametrize(
    "said",
    [
        [],
        "x",
        {},
        {"count": -1},
        {"count": 100_001},
        {"count": 1, "until": SINCE},
        {"count": 1, "since": "2026-08-18T10:00:00"},
        {"count": 2, "first_seq": 1, "last_seq": 1},
        {"count": 1, "first_seq": 1},
        {"count": 1, "source_epoch": "b"},
        {"count": 2, "event_ids": [str(uuid.uuid4())]},
        {"count": 1, "first_seq": 1, "last_seq": 1, "event_ids": [str(uuid.uuid4())]},
        {"count": 1, "ids_digest": "x"},
        {"count": 1, "other": 1},
        {"count": 1, "source_epoch": "\x00", "first_seq": 1, "last_seq": 1},
    ],
)
def test_what_is_no_manifest_is_refused_and_not_kept(sender: Sender, said: Any) -> None:
    document = a_manifest(**said) if isinstance(said, dict) and said else said
    answer = sender.post(document, MANIFESTS)
    assert answer.status_code == 400
    assert answer.json()["field_errors"]
    assert not Manifest.objects.filter(writer=sender.name).exists()


def test_an_incomplete_manifest_is_told_once_and_can_be_explained(
    sender: Sender, told: list[str], empty_queue: None
) -> None:
    sender.post(a_manifest(count=2), MANIFESTS)
    follow()
    reconcile.reconcile()
    assert len([one for one in told if sender.name in one]) == 1
    manifest = Manifest.objects.get(writer=sender.name)
    explain.explain(manifest, "The batch was a rehearsal.", by="ann")
    manifest.refresh_from_db()
    assert manifest.state == "explained"


def test_a_run_that_is_killed_before_it_looks_tells_of_no_manifest_that_is_complete(
    sender: Sender, told: list[str], empty_queue: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender.post(a_manifest(count=1, first_seq=1, last_seq=1), MANIFESTS)
    sender.post(numbered(1)[0])
    with monkeypatch.context() as killed:
        killed.setattr("audit.completeness.compare.compare_open", lambda *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            follow()
    follow()
    assert [one for one in told if sender.name in one] == []
    assert Manifest.objects.get(writer=sender.name).state == "closed"


def test_what_is_overdue_is_told_before_manifests_are_compared_which_may_take_long(
    sender: Sender, told: list[str], empty_queue: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender.post(numbered(1, 3), BATCH)
    with monkeypatch.context() as killed:
        killed.setattr("audit.completeness.compare.compare_all", lambda *arguments: 1 / 0)
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                follow()
    assert len([text for text in told if f"gaps in the numbers of {sender.name}" in text]) == 1


def test_a_manifest_that_there_was_no_time_to_compare_is_not_told(
    sender: Sender, told: list[str], empty_queue: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender.post(a_manifest(count=1, first_seq=1, last_seq=1), MANIFESTS)
    sender.post(numbered(1)[0])
    while seal.Sealer().once().more:
        pass
    for _ in range(2):
        assert reconcile.reconcile(seconds=0).at_end
    assert [text for text in told if sender.name in text] == []
    follow()
    assert Manifest.objects.get(writer=sender.name).state == "closed"


def test_manifests_are_listed_and_told_without_the_ids_that_they_name(
    sender: Sender, told: list[str], empty_queue: None
) -> None:
    ids = sorted(str(uuid_utils.compat.uuid7()) for _ in range(3))
    sender.post(a_manifest(count=3, event_ids=ids), MANIFESTS)
    with CaptureQueriesContext(connections["default"]) as asked:
        reconcile._notify_overdue(Manifest, datetime.now(UTC) + timedelta(hours=2), "{count} of {writers}: {first}")
    assert [text for text in told if sender.name in text]
    assert [one["sql"] for one in asked if "event_ids" in one["sql"]] == []
    assert Manifest.objects.get(writer=sender.name).told_at is not None


def test_a_large_manifest_is_compared_through_the_index(sender: Sender) -> None:
    began = datetime(2026, 8, 18, 10, tzinfo=UTC)
    for first in range(1, 2_001, 1_000):
        seqs = [seq for seq in range(first, first + 1_000) if seq % 500]
        times = {"event_timestamp": (began + timedelta(seconds=first)).isoformat()}
        assert sender.post(numbered(*seqs, **times), f"{EVENTS}/batch").status_code == 201
    answer = sender.post(a_manifest(count=2_000, first_seq=1, last_seq=2_000), MANIFESTS).json()
    assert [run["first"] for run in answer["missing_numbers"]] == [500, 1_000, 1_500, 2_000]
    assert not Gap.objects.filter(numbering__writer=sender.name, last__gt=2_000).exists()
