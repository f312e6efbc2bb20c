"""Verification: what it covers, what it says, and that a finding is not forgotten."""

from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.test import Client, override_settings

from audit.formats.note import Signer, Verifier
from audit.ledger import reader, verify
from audit.ledger.publish import Publisher
from audit.ledger.seal import Sealer
from audit.ledger.verify.result import Verdict
from audit.models import Checkpoint, Finding, Leaf, Record
from tests.attacks.catalogue import edited_with_leaf, own_key, record_id, rewritten, statement, unguarded
from tests.attacks.scene import Scene, send
from tests.audit.ledger.conftest import edit


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr("dlq.alarm.tell", lambda name, text, **figures: found.append(text))
    return found


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
    assert [(finding.kind, finding.subject) for finding in found.findings.all()] == [("ALTERED", "tree")]


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


def test_the_last_cosignature_of_each_witness_is_looked_up(store: psycopg.Connection[Any]) -> None:
    assert "w1" not in reader.last_cosigned()
    for checkpoint, witness, second in ((1, "w1", 1), (2, "w1", 2), (3, "w1", 3), (1, "w2", 4)):
        store.execute(
            "INSERT INTO audit_cosignature VALUES (%s, %s, 'line', %s)",
            [checkpoint, witness, f"2026-01-01T00:00:0{second}Z"],
        )
    last = reader.last_cosigned()
    assert (last["w1"].second, last["w2"].second) == (3, 4)


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


def test_a_witness_has_another_key_and_what_it_cosigned_before_is_no_forgery(
    store: psycopg.Connection[Any], scene: Scene, settings: Any
) -> None:
    before = scene.witness.split("=", 1)[1]
    after = Signer(Verifier.parse(before).name, bytes(32)).verifier.as_cosigner()
    settings.SEAL_WITNESSES = [f"http://127.0.0.1:1={after}"]
    run = verify.verify()
    assert run.verdict == "VERIFIED" and any("Add it as =KEY" in text for text in run.not_covered)
    settings.SEAL_WITNESSES += [f"={before}"]
    run = verify.verify()
    assert run.verdict == "VERIFIED" and not any("=KEY" in text for text in run.not_covered)
    statement("UPDATE audit_cosignature SET line = overlay(line PLACING 'AAAAAA' FROM length(line) - 20)")(store, scene)
    assert verify.verify().verdict == "ALTERED"


def test_a_witness_that_speaks_no_http_was_not_asked(
    store: psycopg.Connection[Any], scene: Scene, settings: Any, babbler: int
) -> None:
    settings.SEAL_WITNESSES = [f"http://127.0.0.1:{babbler}=" + scene.witness.split("=", 1)[1]]
    run = verify.verify()
    assert run.verdict == "VERIFIED" and any("was not asked" in text for text in run.not_covered)
    head = Checkpoint.objects.first()
    assert head is not None
    assert "did not answer" in Publisher().publish(head)[0]
