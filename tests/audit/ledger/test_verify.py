"""Verification: what it covers, what it says, and that a finding is not forgotten."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connections
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext

from audit import checks, tasks
from audit.formats.note import Signer
from audit.ledger import reader, seal, verify
from audit.ledger.keys import DEVELOPMENT
from audit.ledger.publish import Publisher
from audit.ledger.seal import Sealer
from audit.ledger.verify import leaves, run, unsealed
from audit.ledger.verify.result import Verdict
from audit.models import Checkpoint, Finding, Leaf, Record, Verification
from tests import servers
from tests.attacks.catalogue import edited_with_leaf, own_key, record_id, rewritten, statement, unguarded
from tests.attacks.scene import Scene, send


@pytest.fixture(scope="module")
def scene(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    if servers.postgres is None:
        pytest.skip("needs a PostgreSQL of its own to attack: unset DATABASE_URL")
    found = Scene(servers.postgres.url(), tmp_path_factory.mktemp("verify"))
    try:
        found.build()
        yield found
    finally:
        found.stop()


@pytest.fixture
def store(scene: Scene) -> Iterator[psycopg.Connection[Any]]:
    """600 sealed records in a database of their own, and a superuser's connection to it."""
    with scene.outside(), scene.fresh() as superuser:
        yield superuser


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr("dlq.alarm.tell", lambda name, text, **figures: found.append(text))
    return found


def edit(superuser: psycopg.Connection[Any], index: int) -> None:
    text = f"UPDATE audit_record SET actor_id = 'nobody' WHERE id = '{record_id(superuser, index)}'"
    statement(text)(superuser, None)  # type: ignore[arg-type]


def test_a_whole_log_is_verified_and_counted(store: psycopg.Connection[Any]) -> None:
    found = verify.verify()
    assert found.verdict == "VERIFIED"
    wanted = {"records": 600, "leaves": 600, "checkpoints": 6, "roots": 6, "nodes": 2}
    assert {name: found.counts[name] for name in wanted} == wanted
    assert found.ended_at is not None
    assert any("No anchor" in text for text in found.not_covered)


def test_nothing_is_not_verified(store: psycopg.Connection[Any]) -> None:
    assert verify.verify("range", first=600).verdict == "NOT COVERED"
    assert verify.verify("correlation", correlation_id="nobody").verdict == "NOT COVERED"


def test_a_range_covers_its_leaves_up_to_the_next_signed_root(store: psycopg.Connection[Any]) -> None:
    edit(store, 450)
    found = verify.verify("range", first=120, last=130)
    assert (found.first, found.last, found.verdict) == (120, 200, "VERIFIED")
    assert found.counts["records"] == 80
    assert "Only the leaves 120 to 199 were checked." in found.not_covered
    assert verify.verify("range", first=401, last=449).verdict == "ALTERED"


def test_a_range_is_held_against_the_root_whatever_the_rest_is(store: psycopg.Connection[Any]) -> None:
    """Leaf and record were changed alike: only the signed root shows it, also for a range in the middle."""
    unguarded(edited_with_leaf)(store, None)  # type: ignore[arg-type]
    found = verify.verify("range", first=105, last=110)
    assert [(one.kind, one.subject) for one in found.findings.all()] == [("ALTERED", "tree")]


def test_a_finding_names_record_index_kind_and_when_it_was_first_seen(store: psycopg.Connection[Any]) -> None:
    edit(store, 123)
    first = verify.verify()
    (finding,) = first.findings.all()
    assert (finding.kind, finding.subject, finding.index) == ("ALTERED", "record", 123)
    assert finding.record_id == Leaf.objects.get(index=123).record_id
    assert "content is not what was accepted" in finding.detail
    again = verify.verify()
    (same,) = again.findings.all()
    assert (same.pk, same.first_seen) == (finding.pk, finding.first_seen)
    assert same.last_seen > finding.last_seen


def test_a_finding_that_is_mended_is_kept_and_no_longer_so(store: psycopg.Connection[Any]) -> None:
    name = Record.objects.get(id=record_id(store, 5)).actor_id
    edit(store, 5)
    assert verify.verify().verdict == "ALTERED"
    assert Finding.objects.still_so().count() == 1
    text = f"UPDATE audit_record SET actor_id = '{name}' WHERE id = '{record_id(store, 5)}'"
    statement(text)(store, None)  # type: ignore[arg-type]
    assert verify.verify().verdict == "VERIFIED"
    assert Finding.objects.still_so().count() == 0
    assert Finding.objects.count() == 1


def test_a_failure_dominates_what_is_well(store: psycopg.Connection[Any]) -> None:
    edit(store, 5)
    statement(f"DELETE FROM audit_record WHERE id = '{record_id(store, 7)}'")(store, None)  # type: ignore[arg-type]
    found = verify.verify()
    assert found.verdict == "ALTERED"
    assert (found.counts["ALTERED"], found.counts["MISSING"], found.counts["records"]) == (1, 1, 599)


def test_a_new_finding_is_alarmed_once_and_recorded(store: psycopg.Connection[Any], told: list[str]) -> None:
    edit(store, 9)
    found = verify.verify()
    verify.verify()
    (text,) = told
    assert "ALTERED" in text
    noted = Record.objects.get(event_type="audit.verification.ended")
    assert (noted.event_outcome, noted.event_data["verdict"]) == ("failure", "ALTERED")
    assert noted.correlation_id == f"verification-{found.pk}"
    (named,) = noted.event_data["findings"]
    assert (named["kind"], named["index"], named["record_id"]) == ("ALTERED", 9, str(record_id(store, 9)))


def test_more_findings_than_can_be_kept_are_counted(
    store: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit.ledger.verify.result.MAX_FINDINGS", 10)
    statement("DELETE FROM audit_record")(store, None)  # type: ignore[arg-type]
    found = verify.verify()
    assert found.counts["MISSING"] == 600
    assert found.findings.count() == 10


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaves, "CHUNK", 32)
    monkeypatch.setattr(leaves, "SAVE_EVERY", 2)


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


def test_a_run_that_was_killed_is_resumed_by_the_command(
    store: psycopg.Connection[Any], small_steps: None, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    checked = leaves._check_records

    def killed(report: Any, rows: Any) -> None:
        if rows[0].leaf_index > 300:
            raise KeyboardInterrupt
        checked(report, rows)

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


def test_the_last_cosignature_of_each_witness_is_looked_up(store: psycopg.Connection[Any]) -> None:
    assert "w1" not in reader.last_cosigned()
    for checkpoint, witness, second in ((1, "w1", 1), (2, "w1", 2), (3, "w1", 3), (1, "w2", 4)):
        store.execute(
            "INSERT INTO audit_cosignature VALUES (%s, %s, 'line', %s)",
            [checkpoint, witness, f"2026-01-01T00:00:0{second}Z"],
        )
    last = reader.last_cosigned()
    assert (last["w1"].second, last["w2"].second) == (3, 4)


def test_a_correlation_says_what_it_cannot_show(store: psycopg.Connection[Any]) -> None:
    correlation = Record.objects.get(id=record_id(store, 123)).correlation_id
    found = verify.verify("correlation", correlation_id=correlation)
    assert (found.verdict, found.counts["records"]) == ("VERIFIED", 120)
    assert any("removed" in text for text in found.not_covered)
    edit(store, 123)
    found = verify.verify("correlation", correlation_id=correlation)
    assert [one.index for one in found.findings.all()] == [123]
    statement(f"DELETE FROM audit_record WHERE id = '{record_id(store, 456)}'")(store, None)  # type: ignore[arg-type]
    verify.verify()
    found = verify.verify("correlation", correlation_id=correlation)
    assert any("known to be gone" in text for text in found.not_covered)


def test_a_record_that_was_changed_before_it_was_sealed_is_found(store: psycopg.Connection[Any]) -> None:
    (event,) = send(1)
    found = verify.verify("correlation", correlation_id=event.correlation_id)
    assert (found.verdict, found.counts["unsealed"]) == ("VERIFIED", 1)
    changed = f"UPDATE audit_record SET actor_id = 'nobody' WHERE id = '{event.id}'"
    statement(changed)(store, None)  # type: ignore[arg-type]
    found = verify.verify("correlation", correlation_id=event.correlation_id)
    assert [(finding.kind, finding.record_id) for finding in found.findings.all()] == [("ALTERED", event.id)]
    statement("DELETE FROM audit_unsealed")(store, None)  # type: ignore[arg-type]
    found = verify.verify("correlation", correlation_id=event.correlation_id)
    assert found.verdict == "UNKNOWN"


def test_what_was_sealed_since_the_head_was_read_is_not_called_altered(
    store: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (event,) = send(1)
    head = reader.signed_head()
    Sealer().once()
    monkeypatch.setattr("audit.ledger.reader.signed_head", lambda using="reader": head)
    found = verify.verify("correlation", correlation_id=event.correlation_id)
    assert (found.verdict, found.counts["unsealed"]) == ("VERIFIED", 1)


def test_a_correlation_is_read_in_pages(store: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.ledger.verify.correlation.CHUNK", 7)
    correlation = Record.objects.get(id=record_id(store, 123)).correlation_id
    assert verify.verify("correlation", correlation_id=correlation).counts["records"] == 120


def test_a_correlation_of_many_records_is_proved_by_few_statements(store: psycopg.Connection[Any]) -> None:
    correlation = Record.objects.get(id=record_id(store, 123)).correlation_id
    with CaptureQueriesContext(connections["reader"]) as queries:
        verify.verify("correlation", correlation_id=correlation)
    assert len(queries) < 20


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


def test_the_tail_that_waits_is_named_and_too_old_it_is_unknown(store: psycopg.Connection[Any]) -> None:
    send(4)
    found = verify.verify()
    assert found.verdict == "VERIFIED"
    assert any(text.startswith("4 records wait for the sealer") for text in found.not_covered)
    with override_settings(SEAL_MERGE_DELAY_S=-1):
        assert verify.verify().verdict == "UNKNOWN"
    store.execute("DELETE FROM audit_unsealed")
    store.execute("INSERT INTO audit_unsealed SELECT id, digest, now() + interval '1 year' FROM audit_record LIMIT 1")
    assert verify.verify().verdict == "UNKNOWN"  # a time in the future hides nothing


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


def test_metrics_tell_of_the_log_and_its_findings(store: psycopg.Connection[Any]) -> None:
    edit(store, 3)
    verify.verify()
    text = Client().get("/metrics").content.decode()
    assert "audit_log_up 1.0" in text
    assert "audit_log_size 600.0" in text
    assert 'audit_findings{kind="ALTERED"} 1.0' in text
    assert 'audit_verified_timestamp_seconds{scope="all"}' in text


def test_ending_states_are_ordered_from_worst_to_best() -> None:
    names = ["FORKED", "ALTERED", "MISSING", "UNKNOWN", "NOT COVERED", "VERIFIED"]
    assert [verdict.value for verdict in Verdict] == names


# --- Checks ------------------------------------------------------------------------------------


def ids(found: list[Any]) -> list[str]:
    return [str(one.id) for one in found]


def test_a_missing_key_and_the_development_key_are_errors() -> None:
    assert ids(checks.seal_key(None)) == []
    with override_settings(SEAL_KEY="", SEAL_PUBLIC_KEYS=""):
        assert ids(checks.seal_key(None)) == ["audit.E006"]
    with override_settings(SEAL_KEY=DEVELOPMENT.encode()):
        assert ids(checks.seal_key(None)) == ["audit.E007"]
        with override_settings(DEBUG=True):
            assert ids(checks.seal_key(None)) == []


def test_nothing_outside_is_a_warning_and_a_damaged_witness_an_error(tmp_path: Path) -> None:
    key = Signer("w.example", bytes(32)).verifier
    assert ids(checks.outside_trust(None)) == ["audit.W004"]
    with override_settings(SEAL_ANCHOR_FILE=tmp_path / "anchor"):
        assert ids(checks.outside_trust(None)) == []
    with override_settings(SEAL_WITNESSES=[f"http://w.example={key.as_cosigner()}"]):
        assert ids(checks.outside_trust(None)) == []
    for wrong in ("http://w.example", f"http://w.example={key}", f"w.example={key.as_cosigner()}", "=", ""):
        with override_settings(SEAL_WITNESSES=[wrong]):
            assert ids(checks.outside_trust(None)) == ["audit.E008"], wrong


def test_the_function_that_computes_leaves_is_checked(superuser: psycopg.Connection[Any]) -> None:
    body = checks.body_of("audit_leaf_hash", "0003_log.sql")
    create = (
        "CREATE OR REPLACE FUNCTION audit_leaf_hash(event_id uuid, digest bytea, received_at timestamptz, "
        "parked_at timestamptz, stored_at timestamptz) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE "
        "AS $body${}$body$"
    )
    superuser.execute(create.replace("{}", " SELECT digest ").encode())
    try:
        assert ids(list(checks.functions())) == ["audit.E002"]
    finally:
        superuser.execute(create.replace("{}", body).encode())
    assert ids(list(checks.functions())) == []


def test_a_record_with_the_least_of_all_ids_is_no_blind_spot(store: psycopg.Connection[Any]) -> None:
    columns = (
        "writer, version, event_type, event_timestamp, event_category, event_action, event_outcome, correlation_id, "
        "event_data, actor_type, actor_id, resource_type, resource_id, severity, is_sensitive, digest, received_at, "
        "stored_at"
    )
    store.execute(
        f"INSERT INTO audit_record (id, {columns}) "
        f"SELECT '00000000-0000-0000-0000-000000000000', {columns} FROM audit_record LIMIT 1"
    )
    run = verify.verify()
    assert run.verdict == "UNKNOWN"
    assert [str(found.record_id) for found in run.findings.all()] == ["00000000-0000-0000-0000-000000000000"]


def test_an_anchor_that_is_gone_is_missing(store: psycopg.Connection[Any], settings: Any, tmp_path: Path) -> None:
    settings.SEAL_ANCHOR_FILE = tmp_path / "not-mounted" / "anchor.jsonl"
    assert verify.verify().verdict == "MISSING"
    settings.SEAL_ANCHOR_FILE = tmp_path / "empty"
    settings.SEAL_ANCHOR_FILE.touch()
    run = verify.verify()
    assert run.verdict == "MISSING" and "empty" in run.findings.get().detail
    settings.SEAL_ANCHOR_FILE = None
    settings.SEAL_ANCHOR_DIR = tmp_path
    assert verify.verify().verdict == "MISSING"


def test_a_log_that_grows_during_a_run_is_no_finding(store: psycopg.Connection[Any], scene: Scene) -> None:
    with scene.outside(anchor=scene.anchor, witness=False):
        run = verify.begin()
        send(20)
        head = Sealer().once().checkpoint
        assert head is not None
        assert Publisher().publish(head) == []
        assert verify.resume(run).verdict == "VERIFIED"


def test_a_fork_is_not_mended_by_a_run_that_could_not_ask_the_witness(
    store: psycopg.Connection[Any], scene: Scene, settings: Any
) -> None:
    with scene.outside(anchor=None, witness=True):
        rewritten(own_key)(store, scene)
        assert verify.verify().verdict == "FORKED"
        open_before = Finding.objects.still_so().count()
        assert open_before >= 1
    settings.SEAL_WITNESSES = ["http://127.0.0.1:1=" + scene.witness.split("=", 1)[1]]
    run = verify.verify()
    assert "witness" in run.skipped
    assert Finding.objects.still_so().filter(subject="witness").count() >= 1


def test_a_witness_that_speaks_no_http_was_not_asked(
    store: psycopg.Connection[Any], scene: Scene, settings: Any, babbler: int
) -> None:
    settings.SEAL_WITNESSES = [f"http://127.0.0.1:{babbler}=" + scene.witness.split("=", 1)[1]]
    run = verify.verify()
    assert run.verdict == "VERIFIED" and any("was not asked" in text for text in run.not_covered)
    head = Checkpoint.objects.first()
    assert head is not None
    assert "did not answer" in Publisher().publish(head)[0]


def test_a_run_that_a_killed_worker_left_is_gone_on_with(
    store: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = verify.begin(requested_by="an-auditor")
    monkeypatch.setattr(tasks, "ABANDONED_AFTER", timedelta(seconds=-1))
    tasks.verify_slice()
    run.refresh_from_db()
    assert run.verdict == "VERIFIED"
