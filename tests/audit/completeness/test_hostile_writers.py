"""Nothing that one writer does keeps what another's events lack from being found and told."""

import itertools
import secrets
import tracemalloc
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit import tasks
from audit.access import api_keys
from audit.completeness import compare, reconcile, sequences
from audit.formats import event
from audit.formats.event import SealedEvent
from audit.ingest.record import store
from audit.ledger import seal
from audit.models import Followed, Gap, Heartbeat, Manifest, Unmet
from tests.audit.completeness.conftest import numbered, numbers_of
from tests.audit.conftest import BATCH, Sender, an_event
from tests.audit.expectations.conftest import rule_maker

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("told", "empty_queue")]
HEARTBEATS, MANIFESTS, EXPORTS = (f"/api/v1/audit/{place}" for place in ("heartbeats", "manifests", "exports"))


def a_hostile_writer(epochs: int, heartbeats: int, manifests: int, **changes: Any) -> str:
    """An epoch for each event, heartbeats of as many others, and manifests of what never came, all before others."""
    name, now = f"hostile-{secrets.token_hex(4)}", timezone.now()
    for first in range(0, epochs, 1000):
        numbers = range(first, min(first + 1000, epochs))
        documents = [
            an_event(source_seq=2, source_epoch=f"e{n}", correlation_id=f"{name}-{n}", **changes) for n in numbers
        ]
        store([event.accept(document, writer=name) for document in documents], timeout_s=60)
    Heartbeat.objects.bulk_create(
        Heartbeat(writer=name, epoch=f"h{n}", seq=9, at=now, waiting_seq=9, waiting_at=now) for n in range(heartbeats)
    )
    window = {"since": now - timedelta(days=1), "until": now, "count": 10**6, "found_at": now}
    Manifest.objects.bulk_create(
        Manifest(key=secrets.token_hex(32), writer=name, looked_at=None, **window) for _ in range(manifests)
    )
    return name


@pytest.fixture
def looks_at_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes on by a second each time that a run looks at it, whatever the machine does beside."""
    seconds = itertools.count(1_000)
    monkeypatch.setattr(reconcile, "time", SimpleNamespace(monotonic=lambda: float(next(seconds))))


def test_gaps_of_many_epochs_are_inserted_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequences, "ROWS", 10)
    a_hostile_writer(epochs=35, heartbeats=0, manifests=0)
    while seal.Sealer().once(from_start=True).more:
        pass
    with CaptureQueriesContext(connections["default"]) as queries:
        reconcile.reconcile(seconds=tasks.TASK_S)
    for table in ("audit_gap", "audit_hole"):
        inserts = [query for query in queries if f"INSERT INTO {table} (" in query["sql"]]
        assert len(inserts) >= 4, table


def peaks(events_of: Callable[[str, int, str], list[SealedEvent]]) -> tuple[int, int]:
    """The memory at most while 100, and while 1,000, numbers with a gap before each are followed, in bytes."""
    found, name = [], f"hostile-{secrets.token_hex(4)}"
    for count in (100, 100, 1_000):  # the first makes what stays
        events = events_of(name, count, f"e{len(found)}")
        tracemalloc.start()
        sequences.apply(events)
        found.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    gaps = Gap.objects.filter(numbering__writer=name)
    assert (gaps.count(), set(gaps.values_list("missing", flat=True))) == (1_200, {1})
    return found[1], found[2]


def test_epochs_are_followed_in_portions_and_hold_no_more_memory_however_many_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sequences, "EPOCHS", 100)
    few, many = peaks(
        lambda name, count, epoch: [each for n in range(count) for each in numbers_of(name, 2, epoch=f"{epoch}-{n}")]
    )
    assert many < 2 * few, (few, many)


def test_a_writer_that_leaves_out_each_second_number_holds_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequences, "ROWS", 100)
    few, many = peaks(lambda name, count, epoch: numbers_of(name, *range(2, 2 * count + 1, 2), epoch=epoch))
    assert many < 3 * few, (few, many)


def seal_all() -> None:
    while seal.Sealer().once(from_start=True).more:
        pass


@pytest.mark.usefixtures("looks_at_clock")
@pytest.mark.parametrize(
    ("epochs", "heartbeats", "manifests"),
    [(200, 400, 200), pytest.param(20_000, 10_000, 5_000, marks=pytest.mark.long)],
)
def test_what_others_lack_is_told_by_the_next_runs_whatever_one_writer_did(
    epochs: int, heartbeats: int, manifests: int, told: list[str]
) -> None:
    with rule_maker() as make:
        rule = make(within_s=1)
        changes = {"event_type": f"{rule.name}.x", "event_timestamp": timezone.now().isoformat()}
        hostile = a_hostile_writer(epochs, heartbeats, manifests, **changes)
        honest = Sender("write", "read")
        honest.post(numbered(1, 2, 4, event_type=f"{rule.name}.x", correlation_id=honest.name), BATCH)
        assert honest.post({"source_seq": 9, "source_epoch": "b"}, HEARTBEATS).status_code == 200
        now = timezone.now()
        stated = {"since": (now - timedelta(days=1)).isoformat(), "until": now.isoformat(), "count": 77}
        assert honest.post(stated, MANIFESTS).status_code in (200, 201)
        seal_all()
        # A minute's run each, of forty looks at the clock: between two of them is a bounded piece of work.
        with (
            CaptureQueriesContext(connections["default"]) as queries,
            CaptureQueriesContext(connections["reader"]) as looks,
        ):
            assert reconcile.reconcile(seconds=tasks.TASK_S).at_end
        assert len(queries) <= 250 + (epochs + heartbeats + manifests) / 100, len(queries)
        # Each of these manifests is about all that was stored.
        assert len(looks) <= 20 + min(manifests, compare.MOST_OF_A_WRITER / epochs), len(looks)
        assert Followed.objects.get(name=Followed.COMPLETENESS).followed_at > now
        gap = Gap.objects.get(numbering__writer=honest.name, numbering__epoch="")
        assert (gap.missing, gap.told_at is not None) == (1, True)
        assert Manifest.objects.get(writer=honest.name).told_at is not None
        tail = Gap.objects.get(numbering__writer=honest.name, numbering__epoch="b")
        assert tail.missing == 9
        # The tail was opened by this run, after it told; the next one tells, and judges what expectations are left.
        reconcile.reconcile(seconds=tasks.TASK_S)
        tail.refresh_from_db()
        assert tail.told_at is not None
        unmet = Unmet.objects.filter(expectation=rule, subject=honest.name)
        assert [finding.told_at is not None for finding in unmet] == [True] * 3
        for words in ("gaps in", "manifests of", "expectations were"):
            assert any(words in text for text in told), words
        assert any("gaps in" in text and honest.name in text for text in told), "hidden behind those of others"
        assert Manifest.objects.filter(writer=hostile, looked_at=None).count() < manifests


@pytest.mark.parametrize("quota", ["events", "bytes", "epochs", "manifests", "exports"])
def test_what_others_lack_is_told_while_a_writer_is_at_its_quota(quota: str) -> None:
    hostile, honest, now = Sender("write", "export"), Sender("write"), timezone.now()
    setattr(hostile.writer, f"quota_{quota}", 2)
    hostile.writer.save()
    api_keys.publish()
    window = {"since": (now - timedelta(days=1)).isoformat(), "until": now.isoformat()}

    def send(number: int) -> int:
        if quota == "manifests":
            return int(hostile.post({**window, "count": number + 7}, MANIFESTS).status_code)
        if quota == "exports":
            return int(hostile.post({"q": f"correlation:{hostile.name}-{number}"}, EXPORTS).status_code)
        return int(hostile.post(an_event(source_seq=5, source_epoch=f"e{number}")).status_code)

    assert 429 in {send(number) for number in range(4)}
    assert honest.post(numbered(1, 3), BATCH).status_code == 201
    assert honest.post({**window, "count": 77}, MANIFESTS).status_code == 200
    seal_all()
    reconcile.reconcile()
    assert Gap.objects.get(numbering__writer=honest.name).told_at is not None
    assert Manifest.objects.get(writer=honest.name).told_at is not None
