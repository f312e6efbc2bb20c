"""Nothing that one writer does keeps what another's events lack from being found and told."""

import secrets
import tracemalloc
from datetime import timedelta

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit import tasks
from audit.completeness import reconcile, sequences
from audit.formats import event
from audit.ingest.record import store
from audit.ledger import seal
from audit.models import Followed, Gap, Heartbeat, Manifest
from tests.audit.completeness.conftest import numbered, numbers_of
from tests.audit.conftest import BATCH, Sender, an_event

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("told", "empty_queue")]
HEARTBEATS, MANIFESTS = "/api/v1/audit/heartbeats", "/api/v1/audit/manifests"


def a_hostile_writer(epochs: int, heartbeats: int, manifests: int) -> None:
    """An epoch for each event, heartbeats of as many others, and manifests of what never came, all before others."""
    name, now = f"hostile-{secrets.token_hex(4)}", timezone.now()
    for first in range(0, epochs, 1000):
        documents = [an_event(source_seq=2, source_epoch=f"e{n}") for n in range(first, min(first + 1000, epochs))]
        store([event.accept(document, writer=name) for document in documents], timeout_s=60)
    Heartbeat.objects.bulk_create(
        Heartbeat(writer=name, epoch=f"h{n}", seq=9, at=now, waiting_seq=9, waiting_at=now) for n in range(heartbeats)
    )
    window = {"since": now - timedelta(days=1), "until": now, "count": 10**6, "found_at": now}
    Manifest.objects.bulk_create(
        Manifest(key=secrets.token_hex(32), writer=name, looked_at=None, **window) for _ in range(manifests)
    )


def test_gaps_of_many_epochs_are_inserted_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequences, "ROWS", 10)
    a_hostile_writer(epochs=35, heartbeats=0, manifests=0)
    while seal.Sealer().once(from_start=True).more:
        pass
    with CaptureQueriesContext(connections["default"]) as queries:
        reconcile.reconcile(seconds=tasks.TASK_S)
    for table in ("audit_gap", "audit_hole"):
        inserts = [query for query in queries if query["sql"].startswith(f'INSERT INTO "{table}"')]
        assert len(inserts) >= 4, table


def test_epochs_are_followed_in_portions_and_hold_no_more_memory_however_many_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sequences, "EPOCHS", 100)
    peaks, name = [], f"hostile-{secrets.token_hex(4)}"
    for count in (100, 100, 1_000):  # the first makes what stays
        events = [each for n in range(count) for each in numbers_of(name, 2, epoch=f"e{len(peaks)}-{n:04}")]
        tracemalloc.start()
        sequences.apply(events)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    gaps = Gap.objects.filter(numbering__writer=name)
    assert (gaps.count(), set(gaps.values_list("missing", flat=True))) == (1_200, {1})
    assert peaks[2] < 2 * peaks[1], peaks


def test_a_writer_that_leaves_out_each_second_number_holds_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequences, "ROWS", 100)
    peaks, name = [], f"hostile-{secrets.token_hex(4)}"
    for count in (100, 100, 1_000):
        events = numbers_of(name, *range(2, 2 * count + 1, 2), epoch=f"e{len(peaks)}")
        tracemalloc.start()
        sequences.apply(events)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    gaps = Gap.objects.filter(numbering__writer=name)
    assert (gaps.count(), set(gaps.values_list("missing", flat=True))) == (1_200, {1})
    assert peaks[2] < 3 * peaks[1], peaks


@pytest.mark.parametrize(
    ("epochs", "heartbeats", "manifests"),
    [(200, 400, 200), pytest.param(20_000, 10_000, 5_000, marks=pytest.mark.long)],
)
def test_gaps_manifests_and_heartbeats_of_others_are_told_by_the_first_run_that_reads_all(
    epochs: int, heartbeats: int, manifests: int
) -> None:
    a_hostile_writer(epochs, heartbeats, manifests)
    honest = Sender("write", "read")
    honest.post(numbered(1, 2, 4), BATCH)
    assert honest.post({"source_seq": 9, "source_epoch": "b"}, HEARTBEATS).status_code == 200
    now = timezone.now()
    stated = {"since": (now - timedelta(days=1)).isoformat(), "until": now.isoformat(), "count": 77}
    assert honest.post(stated, MANIFESTS).status_code in (200, 201)
    while seal.Sealer().once(from_start=True).more:
        pass
    runs = 0
    while not reconcile.reconcile(seconds=tasks.TASK_S).at_end:
        runs += 1
        assert runs <= epochs // 5_000, "a run reads fewer than 5,000 records"
    assert Followed.objects.get(name=Followed.COMPLETENESS).followed_at > now
    gap = Gap.objects.get(numbering__writer=honest.name, numbering__epoch="")
    assert (gap.missing, gap.told_at is not None) == (1, True)
    assert Manifest.objects.get(writer=honest.name).told_at is not None
    tail = Gap.objects.get(numbering__writer=honest.name, numbering__epoch="b")
    assert tail.missing == 9
    # The tail was opened by this run, after it told; the next one tells.
    reconcile.reconcile(seconds=tasks.TASK_S)
    tail.refresh_from_db()
    assert tail.told_at is not None
