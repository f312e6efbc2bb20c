"""An archive in a bucket is made, cut off and gone on with, proved, read back; what is done to it is told.

Long are those of which the tests of archives in folders try the same, but for the bucket.
"""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from audit.archive import archived, check, covers, create, read
from audit.archive.bucket import BucketTarget
from audit.buckets.storage import ArchiveLock
from audit.errors import ArchiveUnusable
from audit.ledger import seal
from audit.models import Archive, ArchiveCheck, Record
from audit.retention.archived import holding
from tests.audit.archive.conftest import archived as made_archive
from tests.audit.archive.conftest import begun, killed_at_its_third_volume
from tests.audit.buckets.ceph import Gateway
from tests.audit.buckets.conftest import Ours, gateway, library, locking, longest, plain, until_free
from tests.audit.evidence.conftest import ME

__all__ = ["gateway", "locking", "plain"]

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("small_parts")]


@pytest.fixture(autouse=True)
def storage(gateway: Gateway, settings: Any, tmp_path: Path) -> None:
    """The settings name the gateway, and lock for as long as records are kept."""
    settings.S3 = gateway.storage._replace(work_dir=tmp_path)
    settings.ARCHIVE_LOCK = settings.ARCHIVE_LOCK._replace(days=longest())


def made(ours: Ours, count: int = 12) -> Archive:
    return made_archive(ours.place("2026-08"), count)


def checked(ours: Ours, prefix: str = "2026-08") -> ArchiveCheck:
    return check.check(ME, ours.place(prefix))


def said(result: ArchiveCheck) -> str:
    return "\n".join(result.faults)


def version_of(ours: Ours, name: str) -> str:
    return ours.at("2026-08").versions(name)[0].id


def test_an_archive_in_a_bucket_is_verified_and_each_file_is_locked(locking: Ours, tmp_path: Path) -> None:
    archive = made(locking)
    names = {"archive.json", "archive.txt", *(volume.name for volume in archive.volumes.all())}
    assert len(names) > 3
    assert locking.names() == {f"2026-08/{name}" for name in names}
    result = checked(locking)
    assert (result.verdict, result.faults, result.records) == ("VERIFIED", [], 12)
    until = datetime.now(UTC) + timedelta(days=longest())
    assert result.notes == [
        f"archive.json to {max(names)}, {len(names)} files: locked in the mode COMPLIANCE until {until:%Y-%m-%d}"
    ]
    act = Record.objects.filter(correlation_id=f"archive-{archive.pk}", event_type="audit.archive.checked").get()
    assert act.event_data["notes"] == result.notes
    assert covers(archive.first, archive.last) == archive
    assert list(tmp_path.iterdir()) == [], "nothing is left on this machine"


def test_a_purge_counts_on_an_archive_in_a_bucket_once_its_check_is_sealed(locking: Ours) -> None:
    archive = made(locking)
    checked(locking)
    assert holding(archive.first, archive.last) == []
    seal.Sealer().once()
    assert [row.id for row in holding(archive.first, archive.last)] == [archive.pk]


def test_the_server_refuses_to_remove_a_file_of_an_archive(locking: Ours) -> None:
    made(locking)
    with pytest.raises(library().ClientError, match="AccessDenied"):
        locking.delete("2026-08/volume-0001.zip", version_of(locking, "volume-0001.zip"))
    assert checked(locking).verdict == "VERIFIED"


def test_a_bucket_without_a_lock_is_verified_with_a_note(plain: Ours) -> None:
    made(plain)
    result = checked(plain)
    assert (result.verdict, result.faults) == ("VERIFIED", [])
    assert result.notes == ["the bucket has no object lock: whoever may remove its objects can remove these files"]


def test_where_locks_are_required_a_bucket_without_one_is_refused_and_its_archive_is_not_covered(
    plain: Ours, settings: Any
) -> None:
    made(plain)
    settings.ARCHIVE_LOCK = ArchiveLock("COMPLIANCE", longest(), True)
    result = checked(plain)
    assert result.verdict == "NOT COVERED"
    assert "the bucket has no object lock" in said(result) and "ARCHIVE_LOCK_REQUIRED asks for it" in said(result)
    with pytest.raises(ArchiveUnusable, match="has no object lock, and ARCHIVE_LOCK_REQUIRED asks for it"):
        begun(plain.place("another"))


def test_a_file_that_is_not_locked_is_named_where_others_are(locking: Ours, settings: Any) -> None:
    made(locking)
    body = locking.body("2026-08/volume-0002.zip")
    locking.put("2026-08/volume-0002.zip", body)
    result = checked(locking)
    assert result.verdict == "VERIFIED", "it is the same file"
    assert "volume-0002.zip: not locked, or the key may not read locks" in result.notes
    settings.ARCHIVE_LOCK = ArchiveLock("COMPLIANCE", longest(), True)
    result = checked(locking)
    assert result.verdict == "NOT COVERED"
    assert result.faults == [
        "NOT COVERED  volume-0002.zip: not locked, or the key may not read locks, and ARCHIVE_LOCK_REQUIRED asks for it"
    ]


def test_where_locks_are_required_those_of_a_weaker_mode_are_not_covered(locking: Ours, settings: Any) -> None:
    settings.ARCHIVE_LOCK = ArchiveLock("GOVERNANCE", longest(), True)
    made(locking)
    assert checked(locking).verdict == "VERIFIED"
    settings.ARCHIVE_LOCK = ArchiveLock("COMPLIANCE", longest(), True)
    result = checked(locking)
    assert result.verdict == "NOT COVERED"
    assert "which some may lift, and ARCHIVE_LOCK_MODE is COMPLIANCE" in said(result)


@pytest.mark.long
def test_the_mode_governance_is_by_choice(locking: Ours, settings: Any) -> None:
    settings.ARCHIVE_LOCK = ArchiveLock("GOVERNANCE", longest() + 443, False)
    made(locking)
    assert "locked in the mode GOVERNANCE until" in checked(locking).notes[0]


def test_a_lock_that_is_shorter_than_the_longest_floor_is_refused(locking: Ours, settings: Any) -> None:
    days = longest()
    settings.ARCHIVE_LOCK = ArchiveLock("COMPLIANCE", days - 1, False)
    said = f"ARCHIVE_LOCK_DAYS is {days - 1}, and records are kept for {days} days at least"
    with pytest.raises(ArchiveUnusable, match=said):
        begun(locking.place("2026-08"))
    assert locking.names() == set()


def test_another_version_that_was_put_over_a_volume_is_altered_and_the_one_that_holds_is_named(locking: Ours) -> None:
    made(locking)
    holding = version_of(locking, "volume-0001.zip")
    locking.put("2026-08/volume-0001.zip", b"something else")
    result = checked(locking)
    assert result.verdict == "ALTERED"
    assert "volume-0001.zip was changed" in result.faults[0]
    assert f"another version was put over it, and the version {holding} of " in result.faults[0]


def test_a_delete_marker_over_a_volume_is_missing_and_the_version_that_holds_is_named(locking: Ours) -> None:
    made(locking)
    holding = version_of(locking, "volume-0002.zip")
    locking.delete("2026-08/volume-0002.zip")
    result = checked(locking)
    assert result.verdict == "MISSING"
    assert "volume-0002.zip is missing" in said(result)
    assert f"a delete marker lies over it, and the version {holding} of " in said(result)


@pytest.mark.parametrize("name", ["archive.json", "archive.txt"])
def test_what_was_put_over_the_index_is_told_with_the_version_that_holds(locking: Ours, name: str) -> None:
    made(locking)
    holding = version_of(locking, name)
    locking.put(f"2026-08/{name}", b"{}")
    result = checked(locking)
    assert result.verdict == "ALTERED"
    assert f"{name}: another version was put over it, and the version {holding} of " in said(result)


@pytest.mark.long
def test_an_object_that_the_index_does_not_name_is_not_covered(locking: Ours) -> None:
    made(locking)
    locking.put("2026-08/volume-0099.zip", b"more")
    result = checked(locking)
    assert result.verdict == "NOT COVERED"
    assert "volume-0099.zip is there, and the index does not name it" in said(result)


@pytest.mark.long
def test_a_volume_that_was_removed_from_a_bucket_without_a_lock_is_missing(plain: Ours) -> None:
    made(plain)
    plain.delete("2026-08/volume-0001.zip")
    result = checked(plain)
    assert result.verdict == "MISSING"
    assert "volume-0001.zip is missing" in said(result)


def test_a_process_that_is_killed_leaves_whole_volumes_and_another_goes_on(locking: Ours, settings: Any) -> None:
    archive = begun(locking.place("2026-08"), 40)
    storage = settings.S3
    of_storage = {"S3_ENDPOINT": storage.endpoint, "S3_ACCESS_KEY_ID": storage.access_key, "S3_ADDRESSING": "path"}
    of_storage |= {"S3_SECRET_ACCESS_KEY": storage.secret_key, "S3_WORK_DIR": str(storage.work_dir)}
    killed_at_its_third_volume(archive, **of_storage, ARCHIVE_LOCK_DAYS=str(longest()))
    assert locking.names() == {"2026-08/volume-0001.zip", "2026-08/volume-0002.zip"}
    with pytest.raises(ArchiveUnusable, match="is not whole"):
        checked(locking)
    until_free(BucketTarget(locking.place("2026-08")))
    assert create.unfinished(locking.place("2026-08")) == archive
    assert create.resume(archive, ME).state == "ready"
    assert checked(locking).verdict == "VERIFIED"
    assert len(locking.at("2026-08").versions("volume-0001.zip")) == 1


def test_a_file_whose_maker_was_killed_before_it_was_locked_is_locked_by_the_next_run(
    locking: Ours, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = begun(locking.place("2026-08"), 4)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("audit.buckets.bucket._headers_of", lambda lock: {})
        patch.setattr("audit.buckets.bucket.Bucket.lock", dies)
        create.resume(archive, ME)
    assert locking.at("2026-08").lock_of("volume-0001.zip") is None
    create.resume(archive, ME)
    [note] = checked(locking).notes
    assert note.startswith("archive.json to volume-0001.zip, 3 files: locked in the mode COMPLIANCE")


def dies(*arguments: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.long
def test_two_processes_do_not_make_one_archive(locking: Ours) -> None:
    archive = begun(locking.place("2026-08"))
    code = f"""
import django
django.setup()
from audit.postgres import session_lock
with session_lock.tried("auditsite archive {locking.place("2026-08")}") as held:
    print(held, flush=True)
    input()
"""
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    try:
        assert other.stdout.readline() == "True\n"
        with pytest.raises(ArchiveUnusable, match="Another process is at work in s3://"):
            create.resume(archive, ME)
    finally:
        other.communicate("\n")
    assert create.resume(archive, ME).state == "ready"


def test_what_lies_where_a_volume_should_is_named_and_not_written_over(locking: Ours) -> None:
    archive = begun(locking.place("2026-08"))
    locking.put("2026-08/volume-0001.zip", b"something else")
    with pytest.raises(ArchiveUnusable, match=r"volume-0001\.zip is there and is not the volume"):
        create.resume(archive, ME)
    assert locking.body("2026-08/volume-0001.zip") == b"something else"


def test_a_prefix_has_one_archive_and_nothing_else(locking: Ours) -> None:
    locking.put("2026-08/mine", b"x")
    with pytest.raises(ArchiveUnusable, match=r"s3://.*/2026-08 is not empty, mine is in it"):
        begun(locking.place("2026-08"))


def test_an_archive_is_read_back_from_a_bucket(locking: Ours) -> None:
    archive = made(locking)
    read.read(ME, locking.place("2026-08"))
    try:
        assert {row.leaf_index for row in archived.find("", archive=archive.pk).rows} == {
            *range(archive.first, archive.last)
        }
    finally:
        read.forget(ME, read.archive_of(locking.place("2026-08")))


@pytest.mark.long
def test_nothing_is_read_from_a_volume_that_is_missing_or_does_not_hold(plain: Ours) -> None:
    made(plain)
    plain.put("2026-08/volume-0001.zip", b"something else")
    with pytest.raises(ArchiveUnusable, match="Nothing is read from a volume that does not hold"):
        read.read(ME, plain.place("2026-08"))
    plain.delete("2026-08/volume-0001.zip")
    with pytest.raises(ArchiveUnusable, match=r"Nothing is read: MISSING  volume-0001\.zip is missing"):
        read.read(ME, plain.place("2026-08"))


@pytest.mark.long
def test_a_copy_in_another_bucket_is_checked_there(locking: Ours, plain: Ours) -> None:
    made(locking)
    for key in locking.names():
        plain.put(key.replace("2026-08", "copy"), locking.body(key))
    result = checked(plain, "copy")
    assert (result.verdict, result.folder) == ("VERIFIED", plain.place("copy"))


def test_the_command_takes_a_bucket_where_it_takes_a_folder(locking: Ours, capsys: pytest.CaptureFixture[str]) -> None:
    archive = begun(locking.place("2026-08"), 4)
    call_command("archive", "create", locking.place("2026-08"))
    with pytest.raises(SystemExit) as end:
        call_command("archive", "check", locking.place("2026-08"))
    call_command("archive", "list")
    printed = capsys.readouterr().out
    assert end.value.code == 0
    assert "locked in the mode COMPLIANCE until" in printed
    assert f"{archive.pk}  {locking.place('2026-08')}" in printed


@pytest.mark.parametrize("place", ["s3://", "s3://UPPER/x", "s3://bucket/../x"])
def test_what_is_no_address_of_a_bucket_is_refused(place: str) -> None:
    with pytest.raises(ArchiveUnusable, match="This is no place to keep files in"):
        check.check(ME, place)


def test_a_server_that_refuses_is_said_in_words_without_the_secret(locking: Ours, settings: Any) -> None:
    settings.S3 = settings.S3._replace(secret_key="another-secret")
    with pytest.raises(ArchiveUnusable, match="the secret is not that of the access key") as caught:
        begun(locking.place("2026-08"))
    assert "another-secret" not in str(caught.value)
