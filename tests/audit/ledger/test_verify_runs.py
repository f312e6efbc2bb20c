"""Runs of verification: in parts, resumed after a kill, in slices that reach every record, by the command."""

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import override_settings

from audit import tasks
from audit.ledger import seal, verify
from audit.ledger.verify import leaves, run, unsealed
from audit.models import Verification
from tests.attacks.catalogue import statement
from tests.attacks.scene import send
from tests.audit.ledger.conftest import edit


def test_a_run_that_is_cut_off_goes_on_where_it_was(
    store: psycopg.Connection[Any], small_steps: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(store, 10)
    edit(store, 590)
    run = verify.begin(requested_by="somebody")
    turns = 0
    while run.ended_at is None:
        run = verify.resume(Verification.objects.get(pk=run.pk), seconds=-1)
        turns += 1
    assert turns > 5
    assert (run.verdict, run.counts["records"], run.counts["leaves"]) == ("ALTERED", 600, 600)
    assert run.counts["roots"] >= 6
    assert {finding.index for finding in run.findings.all()} == {10, 590}


def test_a_run_in_slices_of_time_moves_on_however_heavy_the_events_are(
    store: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chunk that takes longer than a slice is not begun anew for ever: it is cut by its bytes."""
    monkeypatch.setattr(leaves, "CHUNK_BYTES", 20_000)
    monkeypatch.setattr(leaves, "SAVE_EVERY_S", 0.0)
    edit(store, 10)
    edit(store, 590)
    run = verify.begin(requested_by="somebody")
    places = [run.position]
    while run.ended_at is None:
        run = verify.resume(Verification.objects.get(pk=run.pk), seconds=-1)
        places.append(run.position)
    assert places == sorted(set(places)) and len(places) > 5, places
    assert (run.verdict, run.counts["records"], run.counts["leaves"]) == ("ALTERED", 600, 600)
    assert {finding.index for finding in run.findings.all()} == {10, 590}


def test_a_run_that_was_killed_is_resumed_by_the_command(
    store: psycopg.Connection[Any], small_steps: None, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    checked = leaves._check_records

    def killed(report: Any, rows: Any, removed: Any) -> None:
        if rows[0].leaf_index > 300:
            raise KeyboardInterrupt
        checked(report, rows, removed)

    monkeypatch.setattr(leaves, "_check_records", killed)
    with pytest.raises(KeyboardInterrupt):
        verify.verify()
    monkeypatch.setattr(leaves, "_check_records", checked)
    cut_off = Verification.objects.get(ended_at=None)
    assert 0 < cut_off.position <= 320
    with pytest.raises(SystemExit) as ended:
        call_command("verify", "--resume")
    assert ended.value.code == 0
    cut_off.refresh_from_db()
    assert (cut_off.verdict, cut_off.counts["records"]) == ("VERIFIED", 600)
    with pytest.raises(CommandError, match="nothing to go on with"):
        call_command("verify", "--resume")


def test_every_record_has_its_turn_and_the_newest_always(
    store: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "LEAST_SLICE", 130)
    covered: set[int] = set()
    while not covered or max(covered) < 599:
        found = verify.next_slice()
        covered |= set(range(found.first, found.last))
        assert found.verdict == "VERIFIED"
    assert covered == set(range(600))
    assert verify.next_slice().first == 0
    assert (verify.newest().first, verify.newest().first) == (0, 500)  # the newest again, where nothing is new
    for _ in range(3):
        send(5)
        seal.Sealer().once()
    found = verify.newest()
    assert (found.first, found.last, found.counts["records"]) == (600, 615, 15)
    assert verify.newest().first == 610


def test_a_scheduled_run_that_is_cut_off_is_gone_on_with(store: psycopg.Connection[Any], small_steps: None) -> None:
    for start in (verify.newest, verify.next_slice):
        runs = [start(seconds=-1) for _ in range(3)]
        assert len({found.pk for found in runs}) == 1
        assert [found.position for found in runs] == sorted(found.position for found in runs)
        while runs[-1].ended_at is None:
            runs.append(start(seconds=-1))
        assert (runs[-1].pk, runs[-1].verdict) == (runs[0].pk, "VERIFIED")


@override_settings(VERIFY_DAYS=1)
def test_slices_are_as_large_as_the_days_ask_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run.reader, "signed_size", lambda using: 1_440_000)
    asked: dict[str, int] = {}
    monkeypatch.setattr(run, "begin", lambda scope, **options: asked.update(options))
    monkeypatch.setattr(run, "resume", lambda *arguments, **options: None)
    verify.next_slice(using="reader")
    assert asked["last"] - asked["first"] == 10_000


def test_slices_together_find_a_back_dated_stray(
    store: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "LEAST_SLICE", 130)
    text = (
        "INSERT INTO audit_record SELECT (jsonb_populate_record(r, jsonb_build_object('id', "
        "'00000000-0000-7000-8000-000000000001'))).* FROM audit_record r WHERE id = '{id}'"
    )
    statement(text)(store, None)  # type: ignore[arg-type]
    verdicts = [verify.next_slice().verdict for _ in range(3)]  # 200 each
    assert verdicts.count("UNKNOWN") == 1


def test_the_walk_over_ids_is_bounded_and_goes_on_where_it_was_whatever_ids_the_leaves_have(
    store: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "LEAST_SLICE", 130)
    monkeypatch.setattr(unsealed, "CHUNK", 50)
    send(1, event_id="00000000-0000-7000-8000-000000000002")  # a backlog of long ago, at the end of the log
    seal.Sealer().once()
    slices = [verify.next_slice()]
    while slices[-1].ids_position < unsealed.MOST:
        slices.append(verify.next_slice())
        assert slices[-1].counts["ids"] <= 200, "as many as a slice has leaves"
    assert len(slices) >= 4 and {part.verdict for part in slices} == {"VERIFIED"}
    whole, parts = verify.begin(requested_by="somebody"), 0
    while whole.ids_position < unsealed.MOST:
        whole, parts = verify.resume(whole, seconds=-1), parts + 1
    assert parts == 13, "601 ids in portions of 50"


def test_the_command_prints_findings_and_verdict(store: psycopg.Connection[Any], capsys: Any) -> None:
    edit(store, 77)
    with pytest.raises(SystemExit) as ended:
        call_command("verify")
    printed = capsys.readouterr().out
    assert ended.value.code == 3
    assert "ALTERED record: The record of leaf 77 was changed" in printed
    assert "first seen 20" in printed
    assert "not covered: No anchor" in printed
    assert "checked: 600 records" in printed
    assert printed.endswith("ALTERED\n")


def test_the_command_verifies_parts(store: psycopg.Connection[Any], capsys: Any) -> None:
    # What other tests of this store sealed meanwhile counts as well.
    (since,) = store.execute(
        "SELECT max(size) - max(size) FILTER (WHERE number = 3) FROM audit_checkpoint"
    ).fetchone() or (0,)
    for arguments, records in ((("--range", "0", "100"), 100), (("--since", "3"), since)):
        with pytest.raises(SystemExit) as ended:
            call_command("verify", *arguments)
        assert ended.value.code == 0
        assert f"checked: {records} records" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        call_command("verify", "--correlation", "nobody")
    assert ended.value.code == 4
    with pytest.raises(CommandError, match="no checkpoint 99"):
        call_command("verify", "--since", "99")
    with pytest.raises(CommandError, match="FIRST < LAST"):
        call_command("verify", "--range", "5", "5")
    with override_settings(SEAL_KEY="", SEAL_PUBLIC_KEYS=""), pytest.raises(CommandError, match="no key"):
        call_command("verify")


def test_the_schedule_verifies(store: psycopg.Connection[Any]) -> None:
    assert (tasks.verify_newest(), tasks.verify_slice()) == ("VERIFIED", "VERIFIED")
    run = verify.begin(requested_by="somebody")
    assert tasks.continue_verification(run.pk) == "VERIFIED"


def test_a_long_run_goes_on_in_parts(
    store: psycopg.Connection[Any], small_steps: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    queued: list[tuple[Any, ...]] = []
    monkeypatch.setattr(tasks, "TASK_S", -1)
    monkeypatch.setattr(tasks, "async_task", lambda *task: queued.append(task))
    run = verify.begin(requested_by="somebody")
    assert tasks.continue_verification(run.pk) == "64 of 600"
    assert queued == [("audit.tasks.continue_verification", run.pk)]


def test_a_run_that_a_killed_worker_left_is_gone_on_with(
    store: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = verify.begin(requested_by="an-auditor")
    monkeypatch.setattr(tasks, "ABANDONED_AFTER", timedelta(seconds=-1))
    tasks.verify_slice()
    run.refresh_from_db()
    assert run.verdict == "VERIFIED"
