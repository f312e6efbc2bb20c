"""The pages of the sealed log, of verification, and the evidence that they hand out."""

import html
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client, override_settings

from audit import tasks
from audit.formats import note
from audit.ledger import keys, reader, seal, verify
from audit.ledger.verify.share import DAYS
from audit.models import Checkpoint, Finding, Record, Verification
from tests.admin.conftest import stored_record

VERIFY = Path(__file__).parents[3] / "verify.py"
LOG, RUNS = "/admin/audit/checkpoint/", "/admin/audit/verification/"


@pytest.fixture
def sealed() -> Record:
    record = stored_record()
    seal.Sealer().once()
    return record


def checked_offline(body: bytes, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    file = folder / "bundle.jsonl"
    file.write_bytes(body)
    command = [sys.executable, "-I", str(VERIFY), str(file), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.fixture
def no_cosignature(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests have had checkpoints cosigned."""
    monkeypatch.setattr("audit.ledger.reader.best_cosigned", lambda: None)


def test_the_log_page_names_size_checkpoint_keys_and_who_is_trusted(
    auditor: Client, sealed: Record, no_cosignature: None
) -> None:
    page = auditor.get(LOG).content.decode()
    head = Checkpoint.objects.all()[0]
    assert f"no. {head.number}" in page
    assert str(keys.load().verifiers[0]) in page.replace("&#x27;", "'").replace("&amp;", "&")
    assert "whoever administers the database" in page
    assert "No witness cosigns, and there is no anchor" in page
    assert "<svg" in page


def test_the_log_page_is_paged_by_number(auditor: Client) -> None:
    sealer = seal.Sealer()
    for _ in range(30):
        sealer.once(sign_anyway=True)
    first = auditor.get(LOG).content.decode()
    (before,) = re.findall(r'href="\?before=(\d+)" rel="next"', first)
    older = auditor.get(LOG, {"before": before}).content.decode()
    assert f"{LOG}{int(before) - 1}/change/" in older
    assert auditor.get(LOG, {"before": "nonsense"}).status_code == 200


def test_an_anchor_is_named_as_what_it_is(
    auditor: Client, sealed: Record, tmp_path: Path, no_cosignature: None
) -> None:
    with override_settings(SEAL_ANCHOR_FILE=tmp_path / "anchor.jsonl"):
        assert "Only as far as the anchor is on storage" in auditor.get(LOG).content.decode()
    with override_settings(SEAL_KEY="", SEAL_PUBLIC_KEYS=""):
        assert "There is no key of the log" in auditor.get(LOG).content.decode()


def test_a_checkpoint_shows_its_signatures_checked_and_can_be_kept(auditor: Client, sealed: Record) -> None:
    head = Checkpoint.objects.all()[0]
    page = auditor.get(f"{LOG}{head.number}/change/").content.decode()
    assert page.count("holds") == 2
    answer = auditor.get(f"{LOG}{head.number}/note/")
    assert note.verify(answer.content.decode(), keys.load().all_verifiers)
    assert f"{head.number}.checkpoint" in answer["Content-Disposition"]


@pytest.mark.parametrize("number", ["999999999", "-1", "x", "9" * 30])
def test_a_checkpoint_that_is_not_there_is_404(auditor: Client, number: str) -> None:
    assert auditor.get(f"{LOG}{number}/change/").status_code == 404


def test_a_record_proves_itself_and_the_bundle_convinces_a_laptop(
    auditor: Client, sealed: Record, tmp_path: Path
) -> None:
    page = auditor.get(f"/admin/audit/record/{sealed.id}/change/").content.decode()
    assert "the proof holds" in page
    assert f"verify.py {sealed.id}.bundle.jsonl --key" in page
    body = auditor.get(f"/admin/audit/record/{sealed.id}/bundle/").content
    done = checked_offline(body, tmp_path, "--key", str(keys.load().verifiers[0]))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("VERDICT: VERIFIED\n")
    assert checked_offline(body, tmp_path).returncode == 3
    proof = auditor.get(f"/admin/audit/record/{sealed.id}/proof/").content.decode()
    assert note.parse_proof(proof).text == proof


def test_a_record_that_is_not_sealed_yet_says_so(auditor: Client) -> None:
    seal.Sealer().once(sign_anyway=True)  # a log that has begun
    record = stored_record()
    page = auditor.get(f"/admin/audit/record/{record.id}/change/").content.decode()
    assert "not covered by a checkpoint yet" in page
    answer = auditor.get(f"/admin/audit/record/{record.id}/bundle/", follow=True)
    assert "not sealed yet" in answer.content.decode()
    assert auditor.get(f"/admin/audit/record/{uuid4()}/proof/").status_code == 404


def test_a_whole_correlation_goes_into_one_bundle(
    sealed: Record, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    for n in range(3):
        stored_record(correlation_id=sealed.correlation_id, event_data={"ü": n, "float": 1e-7})
    seal.Sealer().once()
    call_command("bundle", "--correlation", sealed.correlation_id)
    done = checked_offline(capsysbinary.readouterr().out, tmp_path, "--key", str(keys.load().verifiers[0]))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 records checked" in done.stdout
    with pytest.raises(CommandError, match="no such record"):
        call_command("bundle", "--record", str(uuid4()))
    fresh = stored_record()
    with pytest.raises(CommandError, match="not sealed yet"):
        call_command("bundle", "--record", str(fresh.id))


def test_an_auditor_starts_a_verification_and_sees_what_came_of_it(
    auditor: Client, sealed: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    queued: list[Any] = []
    monkeypatch.setattr("audit.admin.ledger.verifications.async_task", lambda *task: queued.append(task))
    answer = auditor.post(f"{RUNS}start/", {"correlation": sealed.correlation_id}, follow=True)
    page = answer.content.decode()
    assert "running or cut off" in page
    assert 'http-equiv="refresh"' in page
    ((task, run_id),) = queued
    assert task == "audit.tasks.continue_verification"
    tasks.continue_verification(run_id)
    page = auditor.get(f"{RUNS}{run_id}/change/").content.decode()
    assert "VERIFIED" in page
    assert 'http-equiv="refresh"' not in page
    assert "Whether other records of this correlation were removed" in page
    run = Verification.objects.get(pk=run_id)
    assert run.scope == "correlation"
    assert Record.objects.filter(correlation_id=f"verification-{run_id}").count() == 1


def test_the_whole_log_is_verified_from_the_list(auditor: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.admin.ledger.verifications.async_task", lambda *task: None)
    auditor.post(f"{RUNS}start/", {"correlation": " "})
    run = Verification.objects.all()[0]
    assert (run.scope, run.ended_at) == ("all", None)
    tasks.continue_verification(run.pk)
    page = auditor.get(RUNS).content.decode()
    assert f"{RUNS}{run.pk}/change/" in page


def test_the_start_page_tells_how_much_was_verified_and_not_how_the_last_run_ended(auditor: Client) -> None:
    stored_record()
    seal.Sealer().once()
    begun = datetime.now(UTC)
    runs = [verify.verify(scope="rolling", first=first, last=first + 1) for first in (0, 0)]
    assert verify.verified_share(begun + timedelta(days=DAYS)) == (runs[0].last, reader.signed_size())
    page = auditor.get("/admin/").content.decode()
    assert re.search(r"[0-9.]+ % of the log verified in 30 days", page)
    assert "The last run: VERIFIED, a scheduled part" in page


def test_findings_are_listed_with_kind_and_first_seen(auditor: Client, operator: Client, sealed: Record) -> None:
    run = verify.begin()
    report = verify.RunReport(run)
    report.find(verify.Verdict.ALTERED, "record", "made for this test", record_id=sealed.id, index=7)
    page = auditor.get("/admin/audit/finding/").content.decode()
    assert "made for this test" in page
    assert f"/admin/audit/record/{sealed.id}/change/" in page
    assert "made for this test" in auditor.get(f"{RUNS}{run.pk}/change/").content.decode()
    for address in ("/admin/audit/finding/", f"{RUNS}{run.pk}/change/"):
        page = operator.get(address).content.decode()  # operators read no records, and no link leads to a refusal
        assert str(sealed.id) in page and f"/record/{sealed.id}/" not in page
    assert "Findings" in auditor.get("/admin/").content.decode()
    Finding.objects.using("owner").filter(run=run).delete()  # the application may not


@pytest.mark.parametrize("path", [LOG, f"{LOG}0/change/", f"{LOG}0/note/", RUNS, "/admin/audit/finding/"])
def test_only_who_may_look_looks(outsider: Client, administrator: Client, path: str) -> None:
    seal.Sealer().once(sign_anyway=True)
    assert outsider.get(path).status_code == 403
    assert administrator.get(path).status_code == 403


def test_only_who_may_start_starts(operator: Client, auditor: Client) -> None:
    assert operator.post(f"{RUNS}start/").status_code == 403
    assert auditor.get(f"{RUNS}start/").status_code == 405
    assert auditor.get(f"{RUNS}999999999/change/").status_code == 404
    assert auditor.get(f"{RUNS}x/change/").status_code == 404


def test_the_start_page_shows_that_somebody_took_a_protection_away(
    auditor: Client, superuser: psycopg.Connection[Any]
) -> None:
    assert "audit.E003" not in auditor.get("/admin/").content.decode()
    superuser.execute("GRANT UPDATE ON audit_leaf TO audit_app")
    try:
        page = auditor.get("/admin/").content.decode()
    finally:
        superuser.execute("REVOKE UPDATE ON audit_leaf FROM audit_app")
    assert "audit.E003: The role audit_app may UPDATE on audit_leaf." in page


def test_the_page_of_the_log_shows_both_keys_with_their_fingerprints(auditor: Client, sealed: Record) -> None:
    page = auditor.get(LOG).content.decode()
    for key in (keys.load().verifiers[0], keys.receipts().verifiers[0]):
        assert f"<code data-copy>{key}</code>" in html.unescape(page)
