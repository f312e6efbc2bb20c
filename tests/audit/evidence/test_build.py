"""Bundles that are cut off, cancelled or expired: gone on with to the same bytes, or not there."""

import os
import secrets
import signal
import subprocess
import sys
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings as django_settings
from django.db import connections
from django.test import Client

from audit import tasks
from audit.errors import Invalid
from audit.evidence import build, export, resumable_zip
from audit.evidence.request import Requester
from audit.models import Export
from tests.attacks.scene import Scene
from tests.audit.evidence.conftest import (
    ME,
    of_correlation,
    path,
    sealed,
)
from tests.auditor import FILE


def test_all_bundles_together_are_bounded_by_the_disk_and_by_how_many_are_made(settings: Any, tmp_path: Path) -> None:
    settings.EXPORT_VOLUME, settings.EXPORT_MAX_MB, settings.EXPORT_DIR = 4, 1, tmp_path
    bundle = export.request(ME, query=f"correlation:{sealed(12)}")
    (tmp_path / "other.zip").write_bytes(bytes(1_000_001))
    build.resume(bundle)
    assert (bundle.state, bundle.done) == ("failed", 0)
    assert "EXPORT_MAX_MB is 1" in bundle.error
    with pytest.raises(Invalid, match="the bundles here take 1 MB"):
        export.request(ME, first=0, last=1)
    (tmp_path / "other.zip").unlink()
    assert export.reopen(bundle, ME)
    bundle.refresh_from_db()
    assert build.resume(bundle).state == "ready"
    settings.EXPORT_AT_ONCE = 0
    with pytest.raises(Invalid, match="are being made already"):
        export.request(ME, first=0, last=1)


@pytest.mark.usefixtures("small_volumes")
def test_a_bundle_is_made_a_part_at_a_time_and_is_the_same(checked: Any) -> None:
    correlation = sealed(12)
    bundle = export.request(ME, query=f"correlation:{correlation}")
    steps = 0
    while bundle.state in Export.UNDER_WAY:
        # Gone on with after the log has grown, too.
        sealed(1)
        bundle, steps = _volume_at_a_time(bundle), steps + 1
    assert bundle.state == "ready"
    assert steps >= 3
    assert checked(path(bundle))[0] == 0


def _volume_at_a_time(bundle: Export) -> Export:
    """As if the process died at the first row of the second volume."""

    class Killed(Exception):
        pass

    before = bundle.done

    def progress(done: int, total: int | None) -> None:
        if done > before + 5:
            raise Killed

    try:
        return build.resume(bundle, progress=progress)
    except Killed:
        return Export.objects.get(pk=bundle.pk)


@pytest.mark.usefixtures("small_volumes")
def test_a_cancelled_bundle_stops_and_can_be_gone_on_with(checked: Any) -> None:
    bundle = export.request(ME, query=f"correlation:{sealed(12)}")

    def progress(done: int, total: int | None) -> None:
        if done == 10:
            assert export.cancel(Export.objects.get(pk=bundle.pk), ME)

    stopped = build.resume(bundle, progress=progress)
    assert (stopped.state, stopped.done) == ("cancelled", 5)
    assert not path(bundle).exists()
    assert not export.cancel(stopped, ME)
    assert build.resume(stopped).state == "cancelled"
    assert export.reopen(stopped, ME)
    again = build.resume(stopped)
    assert again.state == "ready"
    assert checked(path(again))[0] == 0


def test_a_bundle_expires_and_its_files_with_it() -> None:
    bundle, other = of_correlation(), of_correlation()
    past = datetime.now(UTC) - timedelta(seconds=1)
    Export.objects.filter(pk=bundle.pk).update(expires_at=past)
    assert export.remove_expired() >= 1
    bundle.refresh_from_db()
    assert bundle.state == "expired"
    assert not path(bundle).exists()
    assert path(other).exists()
    with pytest.raises(Invalid, match="expired"):
        export.fetch(bundle, ME, bundle.name)


@pytest.mark.usefixtures("small_volumes")
def test_a_bundle_that_was_cut_off_has_the_bytes_of_one_that_was_not(tmp_path: Path, checked: Any) -> None:
    bundle = export.request(ME, query=f"correlation:{sealed(12)}", with_csv=True)
    work = build.work_folder(bundle)
    while bundle.state in Export.UNDER_WAY:
        if bundle.volumes:
            with (work / bundle.name).open("ab") as half:
                half.write(secrets.token_bytes(1000))  # as a kill in the middle of a volume may leave it
        bundle = _volume_at_a_time(bundle)
    assert checked(path(bundle))[0] == 0
    expected = tmp_path / "at-once.zip"
    with zipfile.ZipFile(path(bundle)) as cut_off, zipfile.ZipFile(expected, "w") as whole:
        for name in cut_off.namelist():
            with resumable_zip.member(whole, name) as file:
                file.write(cut_off.read(name))
    assert expected.read_bytes() == path(bundle).read_bytes()
    assert not work.exists()


@pytest.mark.usefixtures("small_volumes")
def test_a_bundle_killed_while_the_last_files_are_put_in_is_the_same(
    checked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = export.request(ME, query=f"correlation:{sealed(6)}")
    add, names = resumable_zip.add, []

    def killed(whole: Any, name: str, file: Path) -> None:
        names.append(name)
        if len(names) == 4:
            raise KeyboardInterrupt
        add(whole, name, file)

    monkeypatch.setattr(resumable_zip, "add", killed)
    with pytest.raises(KeyboardInterrupt):
        build.resume(bundle)
    digest = Export.objects.get(pk=bundle.pk).digest
    made = build.resume(bundle)
    assert (made.state, made.digest) == ("ready", digest)
    assert checked(path(made))[0] == 0
    with zipfile.ZipFile(path(made)) as whole:
        assert len(whole.namelist()) == len({*whole.namelist()})


@pytest.mark.usefixtures("small_volumes")
@pytest.mark.parametrize("lost", ["", ".1"], ids=["the zip", "the list of the zip"])
def test_a_bundle_whose_files_were_lost_is_begun_anew(checked: Any, lost: str) -> None:
    bundle = _volume_at_a_time(export.request(ME, query=f"correlation:{sealed(12)}"))
    assert bundle.done == 5
    (build.work_folder(bundle) / f"{bundle.name}{lost}").unlink()
    again = build.resume(bundle)
    assert (again.state, again.done, len(again.volumes)) == ("ready", 12, 3)
    assert checked(path(again))[0] == 0


def test_two_processes_do_not_make_one_bundle_twice() -> None:
    bundle = export.request(ME, query=f"correlation:{sealed(2)}")
    with build._locked(build.work_folder(bundle)) as mine:
        assert mine
        assert build.resume(bundle).state == "pending"
    assert build.resume(bundle).state == "ready"


def test_a_record_that_is_gone_ends_the_making_with_its_leaf(elsewhere: Scene, postgres: Any) -> None:
    bundle = export.request(ME, first=10, last=20)
    with psycopg.connect(postgres.url("postgres", f"{elsewhere.name}_now"), autocommit=True) as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute("ALTER TABLE audit_record DISABLE TRIGGER USER")
        superuser.execute("DELETE FROM audit_record WHERE id = (SELECT record_id FROM audit_leaf WHERE index = 15)")
    failed = build.resume(bundle)
    assert failed.state == "failed"
    assert "leaves 10 to 19 only 9 are here" in failed.error


# The command, which kills itself in the middle of the third volume.
KILLED = """
import os, signal, sys
import django
django.setup()
from django.core.management import execute_from_command_line
from audit.evidence import build
resume = build.resume
def progress(done, total):
    if done > 50:
        os.kill(os.getpid(), signal.SIGKILL)
build.resume = lambda export, **options: resume(export, **options | {"progress": progress})
execute_from_command_line(["manage.py", "export", "--resume", sys.argv[1]])
"""


@pytest.mark.slow
def test_a_process_killed_in_the_middle_leaves_no_bundle_and_the_next_one_finishes_it(checked: Any) -> None:
    bundle = export.request(ME, query=f"correlation:{sealed(600)}")
    command = [sys.executable, "-c", KILLED, str(bundle.pk)]
    environment = os.environ | {"EXPORT_VOLUME": "20"}
    killed = subprocess.run(command, cwd=FILE.parent, env=environment, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert Export.objects.get(pk=bundle.pk).done == 40
    assert not path(bundle).exists()
    half = Path(django_settings.EXPORT_DIR) / f"{bundle.pk}.partial"
    assert checked(half)[0] == 2
    assert checked(half / bundle.name)[0] == 2
    assert build.resume(bundle).state == "ready"
    status, printed = checked(path(bundle))
    assert status == 0
    assert "600 records checked" in printed


def test_the_schedule_goes_on_with_what_nobody_makes(settings: Any) -> None:
    bundle = export.request(Requester(f"a-{secrets.token_hex(4)}"), query=f"correlation:{sealed(2)}")
    Export.objects.filter(pk=bundle.pk).update(updated_at=datetime(2000, 1, 1, tzinfo=UTC))
    tasks.go_on_with_exports()
    bundle.refresh_from_db()
    assert bundle.state == "ready"
    settings.EXPORT_DIR = None
    assert tasks.go_on_with_exports() == "no bundles are made here"


def test_the_application_cannot_delete_what_is_known_of_bundles() -> None:
    from django.db import ProgrammingError

    bundle = of_correlation()
    with pytest.raises(ProgrammingError, match="permission denied"), connections["default"].cursor() as cursor:
        cursor.execute("DELETE FROM audit_export WHERE id = %s", [bundle.pk])


def figures() -> dict[str, float]:
    """What /metrics says of bundles."""
    lines = Client().get("/metrics").content.decode().splitlines()
    return {
        name: float(value)
        for name, _, value in (line.rpartition(" ") for line in lines if "audit_export" in line)
        if not name.startswith("#")
    }


def test_bundles_that_failed_and_those_that_do_not_move_are_metrics() -> None:
    before = figures()
    whole = build.resume(export.request(Requester("metrics"), query=f"correlation:{sealed(3)}"))
    stuck, failed = (export.request(Requester("metrics"), query=f"correlation:{sealed(1)}") for _ in range(2))
    Export.objects.filter(pk=stuck.pk).update(updated_at=datetime.now(UTC) - timedelta(hours=2))
    Export.objects.filter(pk=failed.pk).update(state="failed", ended_at=datetime.now(UTC))
    after = figures()
    assert after["audit_export_records_total"] - before["audit_export_records_total"] == whole.done == 3
    assert after['audit_exports{state="failed"}'] - before['audit_exports{state="failed"}'] == 1
    assert after["audit_export_still_seconds"] > 7000
    export.cancel(stuck, Requester("metrics"))
