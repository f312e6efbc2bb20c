"""Archives are made of whole volumes, whatever cuts them off, and of the leaves that were asked for."""

import hashlib
import json
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from audit.archive import create, index
from audit.archive.folder import Folder
from audit.archive.span import read_month, read_span
from audit.errors import ArchiveUnusable, Invalid
from audit.ledger import heads
from audit.models import Checkpoint, Record
from tests.audit.archive.conftest import archived, begun, checked, files, killed_at_its_third_volume
from tests.audit.evidence.conftest import ME, PINNED, sealed
from tests.auditor import verify

pytestmark = pytest.mark.usefixtures("small_parts")


def leaves_in(path: Path) -> list[int]:
    with zipfile.ZipFile(path) as bundle:
        names = sorted(name for name in bundle.namelist() if name.endswith(".jsonl"))
        return [json.loads(line)["leaf_index"] for name in names for line in bundle.read(name).splitlines()]


def test_an_archive_has_each_leaf_of_its_range_once_in_volumes_that_verify(tmp_path: Path) -> None:
    made = archived(tmp_path)
    volumes = list(made.volumes.all())
    assert len(volumes) > 1
    assert files(tmp_path) == {"archive.json", "archive.txt", *(volume.name for volume in volumes)}
    written = [leaf for volume in volumes for leaf in leaves_in(tmp_path / volume.name)]
    assert written == [*range(made.first, made.last)]
    for volume in volumes:
        assert verify.main(["evidence", str(tmp_path / volume.name), *PINNED]) == 0


def test_the_index_names_each_volume_with_its_range_and_digest_under_one_checkpoint(tmp_path: Path) -> None:
    made = archived(tmp_path)
    read = index.read(Folder(tmp_path))
    assert (read.first, read.last, read.size) == (made.first, made.last, made.size)
    assert read.digest == made.digest == hashlib.sha256((tmp_path / "archive.json").read_bytes()).hexdigest()
    assert [(volume.first, volume.last) for volume in read.volumes] == [
        (volume.first, volume.last) for volume in made.volumes.all()
    ]
    for volume in read.volumes:
        body = (tmp_path / volume.name).read_bytes()
        assert (volume.sha256, volume.bytes) == (hashlib.sha256(body).hexdigest(), len(body))


def test_a_volume_ends_once_it_has_the_bytes_that_are_asked_for(tmp_path: Path, settings: Any) -> None:
    settings.ARCHIVE_VOLUME_MB = 0.02
    made = archived(tmp_path, 40, event_data={"text": "x" * 1_000})
    sizes = [volume.last - volume.first for volume in made.volumes.all()]
    assert len(sizes) > 2
    record_bytes = 2_000
    assert all(20_000 / record_bytes / 2 <= size <= 20_000 / 1_000 + 4 for size in sizes[:-1]), sizes


def test_making_an_archive_is_a_record_before_and_after(tmp_path: Path) -> None:
    made = archived(tmp_path)
    acts = Record.objects.filter(correlation_id=f"archive-{made.pk}").order_by("event_timestamp")
    assert [act.event_type for act in acts] == ["audit.archive.begun", "audit.archive.created"]
    said = acts[1].event_data
    assert (said["first"], said["last"], said["records"], said["digest"]) == (made.first, made.last, 20, made.digest)
    assert acts[1].actor_id == "tests"


class Killed(Exception):
    pass


def cut_off(archive: Any, after: int) -> None:
    """As if the process died once so many records were written."""

    def progress(done: int, total: int | None) -> None:
        if done > after:
            raise Killed

    with pytest.raises(Killed):
        create.resume(archive, ME, progress)


def test_an_archive_that_was_cut_off_goes_on_behind_its_last_whole_volume(tmp_path: Path) -> None:
    archive = begun(tmp_path)
    cut_off(archive, 10)
    archive.refresh_from_db()
    assert 0 < archive.done < 20
    first = (tmp_path / "volume-0001.zip").read_bytes()
    assert files(tmp_path) == {".making", *(volume.name for volume in archive.volumes.all())}
    with pytest.raises(ArchiveUnusable, match="is not whole"):
        checked(tmp_path)
    assert create.unfinished(tmp_path) == archive
    create.resume(archive, ME)
    assert (tmp_path / "volume-0001.zip").read_bytes() == first
    assert checked(tmp_path).verdict == "VERIFIED"


def test_a_volume_that_was_whole_when_the_process_died_is_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = begun(tmp_path)

    def dies(*arguments: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(create, "_add", dies)
        create.resume(archive, ME)
    first = (tmp_path / "volume-0001.zip").read_bytes()
    create.resume(archive, ME)
    assert (tmp_path / "volume-0001.zip").read_bytes() == first
    assert checked(tmp_path).verdict == "VERIFIED"


def test_an_archive_that_was_cut_off_between_its_index_and_the_signature_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, put = begun(tmp_path), Folder.put

    def dies(self: Folder, name: str, file: Path) -> None:
        if name == index.SIGNATURE:
            raise Killed
        put(self, name, file)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Folder, "put", dies)
        create.resume(archive, ME)
    assert "archive.json" in files(tmp_path)
    assert create.resume(archive, ME).state == "ready"
    assert checked(tmp_path).verdict == "VERIFIED"
    created = Record.objects.filter(correlation_id=f"archive-{archive.pk}", event_type="audit.archive.created")
    assert created.count() == 1


def test_a_process_that_is_killed_leaves_whole_volumes_and_no_half_one(tmp_path: Path) -> None:
    archive = begun(tmp_path, 60)
    killed_at_its_third_volume(archive)
    whole = sorted(files(tmp_path) - {".making"})
    assert whole == ["volume-0001.zip", "volume-0002.zip"]
    for name in whole:
        assert verify.main(["evidence", str(tmp_path / name), *PINNED]) == 0
    assert create.resume(archive, ME).state == "ready"
    assert checked(tmp_path).verdict == "VERIFIED"


def test_a_folder_has_one_archive_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine", encoding="utf-8")
    with pytest.raises(ArchiveUnusable, match="is not empty, mine is in it"):
        begun(tmp_path)
    made = archived(tmp_path / "new")
    with pytest.raises(ArchiveUnusable, match="is not empty"):
        create.create(ME, tmp_path / "new", read_span(str(made.first), str(made.last)))


def test_an_unfinished_archive_is_finished_before_another_is_begun_there(tmp_path: Path) -> None:
    archive = begun(tmp_path)
    span = read_span(str(archive.first), str(archive.last))
    assert create.create(ME, tmp_path, span) == archive
    with pytest.raises(ArchiveUnusable, match="has an unfinished archive of the leaves"):
        create.create(ME, tmp_path, span._replace(first=0))


def test_two_processes_do_not_make_one_archive(tmp_path: Path) -> None:
    archive = begun(tmp_path)
    with Folder(tmp_path).locked(), pytest.raises(ArchiveUnusable, match="Another process is at work in"):
        create.resume(archive, ME)


def test_what_lies_where_a_volume_should_is_named_and_not_written_over(tmp_path: Path) -> None:
    archive = begun(tmp_path)
    (tmp_path / "volume-0001.zip").write_bytes(b"something else")
    with pytest.raises(ArchiveUnusable, match=r"volume-0001\.zip is there and is not the volume of the leaves"):
        create.resume(archive, ME)
    assert (tmp_path / "volume-0001.zip").read_bytes() == b"something else"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ArchiveUnusable, match="cannot be written: Not a directory"):
        begun(tmp_path / "file" / "archive")


def test_what_is_archived_is_for_its_owner_alone(tmp_path: Path) -> None:
    begun(tmp_path / "new")
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0


def test_a_time_is_taken_by_the_seals_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    sealed(3)
    early = heads.give_out()
    sealed(3)
    late = heads.give_out()
    assert early.created_at < late.created_at
    between = (late.created_at - timedelta(microseconds=1)).isoformat()
    assert read_span("0", between).last == early.size
    assert read_span(between, str(late.size)).first == early.size
    assert read_span("1990-01-01", between).first == 0


def test_where_a_month_ends_the_next_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    sealed(1)
    asked: list[tuple[str, str]] = []
    monkeypatch.setattr("audit.archive.span.read_span", lambda first, last: asked.append((first, last)))
    for month in ("2025-11", "2025-12", "2026-01"):
        read_month(month)
    assert asked == [("2025-11-01", "2025-12-01"), ("2025-12-01", "2026-01-01"), ("2026-01-01", "2026-02-01")]


@pytest.mark.parametrize(
    ("first", "last", "says"),
    [
        ("0", "9999999999", "are no range of a log"),
        ("5", "5", "nothing to archive"),
        ("0", "2999-01-01", "is not over yet"),
        ("then", "5", "neither the place of a leaf nor a time"),
    ],
)
def test_what_is_no_range_is_refused(first: str, last: str, says: str) -> None:
    sealed(1)
    with pytest.raises(Invalid, match=says):
        read_span(first, last)


def test_a_month_that_is_not_over_is_refused() -> None:
    sealed(1)
    with pytest.raises(Invalid, match="is not over yet"):
        read_month(f"{datetime.now(UTC):%Y-%m}")
    with pytest.raises(Invalid, match="is a month such as"):
        read_month("2026-13")
    assert Checkpoint.objects.exists()
