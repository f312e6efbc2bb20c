"""A check names what is altered, missing or not covered in an archive, and is kept."""

import hashlib
import json
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit.archive import check, covers, index
from audit.errors import ArchiveUnusable
from audit.evidence import resumable_zip
from audit.models import Archive, ArchiveCheck, ArchiveVolume, Record
from tests.audit.archive.conftest import archived, checked
from tests.audit.evidence.conftest import ME, PINNED
from tests.auditor import verify
from tests.servers import RECEIPT_KEY

pytestmark = pytest.mark.usefixtures("small_parts")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of two volumes, that tests copy and damage."""
    from django.test import override_settings

    folder = tmp_path_factory.mktemp("archive") / "whole"
    with override_settings(EXPORT_VOLUME=4, ARCHIVE_VOLUME_MB=0.006):
        made = archived(folder, 16)
    assert made.volumes.count() >= 2
    return folder


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        [byte] = file.read(1)
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


def said(result: ArchiveCheck) -> str:
    return "\n".join(result.faults)


def test_an_archive_that_is_whole_is_verified_and_the_check_is_kept_and_recorded(whole: Path) -> None:
    result = checked(whole)
    archive = result.archive
    assert (result.verdict, result.faults, result.records) == ("VERIFIED", [], 16)
    assert result.volumes == archive.volumes.count()
    assert archive.last_check() == result
    act = Record.objects.filter(correlation_id=f"archive-{archive.pk}", event_type="audit.archive.checked").first()
    assert act is not None
    assert (act.event_outcome, act.event_data["verdict"]) == ("success", "VERIFIED")


KINDS = ("archive.json", "archive.txt", "volume-0002.zip")


@pytest.mark.parametrize("name", KINDS)
def test_one_byte_of_a_file_is_named(copy: Path, name: str) -> None:
    flip(copy / name, (copy / name).stat().st_size // 2)
    result = checked(copy)
    assert result.verdict in ("ALTERED", "FORKED")
    assert name in said(result)


INNER = (
    *("records-0001.jsonl", "proofs/records-0001.txt", "manifest.json", "manifest.txt", "checkpoint.txt"),
    *("statement.json", "keys.txt", "README.html", "verify.py", "query.txt"),
)


@pytest.mark.parametrize("inner", INNER)
def test_one_byte_of_each_kind_of_file_in_a_volume_is_named(copy: Path, inner: str) -> None:
    path = copy / "volume-0001.zip"
    offset, length = resumable_zip.locate(path, inner)
    flip(path, offset + length // 2)
    result = checked(copy, 1)
    assert result.verdict == "ALTERED"
    assert "volume-0001.zip was changed" in said(result)
    assert inner in said(result)


def test_every_kind_of_file_in_a_volume_is_tried(whole: Path) -> None:
    with zipfile.ZipFile(whole / "volume-0001.zip") as volume:
        kinds = {re.sub(r"-\d{4}", "-0001", name) for name in volume.namelist()}
    assert kinds == set(INNER)


@pytest.mark.parametrize("name", KINDS)
def test_a_file_that_is_missing_is_named(copy: Path, name: str, whole: Path) -> None:
    (copy / name).unlink()
    result = checked(copy)
    assert result.verdict == "MISSING"
    assert f"MISSING  {name} is missing" in said(result)


def test_a_file_that_the_index_does_not_name_is_not_covered(copy: Path) -> None:
    (copy / "volume-0099.zip").write_bytes(b"more")
    result = checked(copy)
    assert (result.verdict, result.faults) == (
        "NOT COVERED",
        ["NOT COVERED  volume-0099.zip is there, and the index does not name it"],
    )


def test_volumes_that_were_swapped_are_named(copy: Path) -> None:
    first, second = copy / "volume-0001.zip", copy / "volume-0002.zip"
    first.rename(copy / "aside")
    second.rename(first)
    (copy / "aside").rename(second)
    result = checked(copy)
    assert result.verdict == "ALTERED"
    assert "volume-0001.zip was changed" in said(result)
    assert "volume-0002.zip was changed" in said(result)


def signed_anew(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """What an insider with the key of receipts can do: another index, signed."""
    document = json.loads((folder / index.INDEX).read_bytes())
    change(document)
    body = json.dumps(document).encode()
    (folder / index.INDEX).write_bytes(body)
    digest = hashlib.sha256(body).hexdigest()
    text = f"{index.FORMAT}\n{document['log']['origin']}\n{document['id']}\n{digest}\n"
    (folder / index.SIGNATURE).write_text(f"{text}\n{RECEIPT_KEY.sign(text)}", encoding="utf-8")


def test_an_index_that_is_signed_anew_is_not_the_one_that_was_recorded(copy: Path) -> None:
    signed_anew(copy, lambda document: document.update(created_by="somebody else"))
    result = checked(copy)
    assert result.verdict == "FORKED"
    assert "is not the index that was recorded" in said(result)


def test_an_index_that_leaves_a_volume_out_does_not_hold_its_range(copy: Path) -> None:
    signed_anew(copy, lambda document: document["volumes"].pop())
    result = checked(copy)
    assert result.verdict == "MISSING"
    assert "its volumes do not hold its whole range" in said(result)


def test_a_store_that_was_restored_learns_no_archive_from_an_index_that_does_not_hold(tmp_path: Path) -> None:
    archived(tmp_path)
    forget(tmp_path)
    signed_anew(tmp_path, lambda document: document["volumes"].pop())
    with pytest.raises(ArchiveUnusable, match="do not hold its whole range"):
        checked(tmp_path)
    assert not Archive.objects.filter(folder=str(tmp_path)).exists()


def test_a_volume_of_another_range_than_the_index_names_is_altered(copy: Path) -> None:
    def change(document: dict[str, Any]) -> None:
        for span in (document["range"], document["volumes"][0]["range"]):
            span["first"] -= 1

    signed_anew(copy, change)
    assert "volume-0001.zip is not the range that the index names" in said(checked(copy))


def test_an_index_under_another_checkpoint_is_altered(copy: Path) -> None:
    signed_anew(copy, lambda document: document["log"].update(size=document["log"]["size"] + 1))
    text = said(checked(copy))
    assert "has another root than the index names" in text
    assert "volume-0001.zip is proved against another checkpoint" in text


def test_a_log_with_another_root_is_forked(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.ledger.reader.root", lambda size: bytes(32))
    result = checked(copy)
    assert result.verdict == "FORKED"
    assert "the log of the store has another root" in said(result)


def test_a_log_that_was_restored_to_before_the_archive_does_not_cover_it(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit.ledger.reader.signed_size", lambda: 3)
    result = checked(copy)
    assert result.verdict == "NOT COVERED"
    assert "fewer leaves" in said(result)


def test_a_volume_alone_is_checked_by_its_number(copy: Path) -> None:
    flip(copy / "volume-0001.zip", 100)
    sound, damaged = checked(copy, 2), checked(copy, 1)
    assert (sound.verdict, damaged.verdict) == ("VERIFIED", "ALTERED")
    assert (sound.records > 0, damaged.records) == (True, 0)
    with pytest.raises(ArchiveUnusable, match="has no volume 99"):
        checked(copy, 99)


def test_a_check_says_of_a_volume_what_verify_py_says(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = copy / "volume-0001.zip"
    offset, length = resumable_zip.locate(path, "records-0001.jsonl")
    flip(path, offset + length // 2)
    faults = checked(copy, 1).faults
    assert verify.main(["evidence", str(path), *PINNED]) == 1
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("ALTERED")]
    assert printed == [fault.replace("volume-0001.zip: ", "") for fault in faults[-len(printed) :]]


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveUnusable, match=r"holds no archive that this store knows: archive\.txt is missing"):
        checked(tmp_path)


def forget(folder: Path) -> None:
    """As a store that was restored from before the archive."""
    archive = Archive.objects.get(pk=json.loads((folder / index.INDEX).read_bytes())["id"])
    ArchiveCheck.objects.using("owner").filter(archive_id=archive.pk).delete()
    ArchiveVolume.objects.using("owner").filter(archive_id=archive.pk).delete()
    Archive.objects.using("owner").filter(pk=archive.pk).delete()


def test_a_store_that_does_not_know_the_archive_learns_it_from_the_signed_index(tmp_path: Path) -> None:
    made = archived(tmp_path)
    forget(tmp_path)
    result = checked(tmp_path)
    assert (result.verdict, result.archive_id) == ("VERIFIED", made.pk)
    known = Archive.objects.get(pk=made.pk)
    assert (known.first, known.last, known.digest, known.bytes) == (made.first, made.last, made.digest, made.bytes)
    assert known.volumes.count() == made.volumes.count()


def test_a_range_is_covered_by_an_archive_that_was_checked_whole(tmp_path: Path) -> None:
    made = archived(tmp_path)
    span = (made.first, made.last)
    assert covers(*span) is None
    checked(tmp_path, 1)
    assert covers(*span) is None
    checked(tmp_path)
    assert covers(*span) == made
    assert covers(made.first + 3, made.last - 3) == made
    assert covers(made.first - 1, made.last) is None
    assert covers(made.first, made.last + 1) is None


def test_a_fault_that_was_seen_later_takes_the_cover_away_until_all_is_checked_again(tmp_path: Path) -> None:
    made = archived(tmp_path)
    checked(tmp_path)
    volume = tmp_path / "volume-0002.zip"
    flip(volume, 200)
    assert checked(tmp_path, 2).verdict == "ALTERED"
    assert covers(made.first, made.last) is None
    flip(volume, 200)
    assert checked(tmp_path, 2).verdict == "VERIFIED"
    assert covers(made.first, made.last) is None
    assert checked(tmp_path).verdict == "VERIFIED"
    assert covers(made.first, made.last) == made


@pytest.mark.parametrize("span", [(5, 5), (6, 5), (-1, 5)])
def test_no_range_is_covered_by_nothing(span: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="a range is first and last"):
        covers(*span)


def test_verify_py_that_does_not_end_covers_nothing(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "VERIFY_TIMEOUT_S", 0.001)
    result = check.check(ME, copy, 1)
    assert (result.verdict, len(result.faults)) == ("NOT COVERED", 1)
    assert "did not end" in result.faults[0]
