"""A day's Parquet files in a bucket: put once, locked, read from there as a table, gone on with after a kill."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from audit.archive.bucket import BucketTarget
from audit.archive.span import Span
from audit.buckets.storage import ArchiveLock
from audit.errors import ArchiveUnusable
from audit.streams.days import columns, make
from audit.streams.days.check import check
from audit.streams.days.manifest import DayFault
from tests.audit.buckets.ceph import Gateway
from tests.audit.buckets.conftest import Ours, gateway, locking, longest, plain, until_free
from tests.audit.streams.conftest import Scene
from tests.audit.streams.days_killed import DAY, killed_after, killed_after_each_write, small_files, span

pyarrow = pytest.importorskip("pyarrow", reason="needs the extra `parquet`", exc_type=ImportError)

__all__ = ["gateway", "locking", "plain", "small_files", "span"]

pytestmark = pytest.mark.slow

NAMES = ["_manifest.json", "_manifest.txt", "part-00001.parquet", "part-00002.parquet", "part-00003.parquet"]


@pytest.fixture(autouse=True)
def storage(gateway: Gateway, settings: Any, tmp_path: Path) -> None:
    """The settings name the gateway, and lock for as long as records are kept."""
    settings.S3 = gateway.storage._replace(work_dir=tmp_path)
    settings.ARCHIVE_LOCK = settings.ARCHIVE_LOCK._replace(days=longest())


@pytest.fixture
def day(scene: Scene, span: Any, small_files: None) -> Span:
    """A day of three files."""
    scene.records(7, event_data={"user": {"name": "ann"}}, duration_ms=7)
    ends: Span = span()
    return ends


def made(root: str, **asked: Any) -> str:
    return make.make(DAY, root, by="op", **({"unredacted": True} | asked))


def place(ours: Ours, prefix: str = "lake") -> str:
    return ours.place(f"{prefix}/day={DAY}")


def table(ours: Ours, prefix: str = "lake") -> Any:
    """The prefix as a table by day, read from the bucket by pyarrow."""
    fs, dataset = pytest.importorskip("pyarrow.fs"), pytest.importorskip("pyarrow.dataset")
    storage = ours.gateway.storage
    files = fs.S3FileSystem(
        access_key=storage.access_key,
        secret_key=storage.secret_key,
        scheme="http",
        endpoint_override=storage.endpoint.removeprefix("http://"),
    )
    return dataset.dataset(f"{ours.name}/{prefix}", filesystem=files, partitioning="hive", format="parquet")


def leaves(ours: Ours, prefix: str = "lake") -> list[int]:
    found: list[int] = table(ours, prefix).to_table(columns=["leaf_index"])["leaf_index"].to_pylist()
    return sorted(found)


def test_a_day_in_a_bucket_is_locked_and_read_by_pyarrow_and_duckdb_as_typed_columns(
    locking: Ours, day: Span, tmp_path: Path
) -> None:
    duckdb = pytest.importorskip("duckdb", exc_type=ImportError)
    assert made(locking.place("lake/")) == place(locking)
    assert locking.names() == {f"lake/day={DAY}/{name}" for name in NAMES}
    read, notes = check(place(locking))
    assert (read.first, read.last, read.document["records"]) == (day.first, day.last, day.last - day.first)
    until = datetime.now(UTC) + timedelta(days=longest())
    assert notes == [
        f"_manifest.json to part-00003.parquet, 5 files: locked in the mode COMPLIANCE until {until:%Y-%m-%d}"
    ]
    records = table(locking)
    for field in columns.schema():
        assert records.schema.field(field.name).type == field.type
    assert leaves(locking) == [*range(day.first, day.last)]
    found = duckdb.connect().execute(
        "SELECT count(*), min(leaf_index), max(event_timestamp) < now(), any_value(day)::text, "
        "count(*) FILTER (event_data::JSON ->> '$.user.name' = 'ann') FROM records WHERE duration_ms = 7"
    )
    assert found.fetchone() == (7, day.first, True, DAY, 7)
    assert list(tmp_path.iterdir()) == [], "nothing is left on this machine"


@pytest.mark.parametrize("step", [4, pytest.param(1, marks=pytest.mark.long)])
def test_a_day_that_is_killed_after_any_write_goes_on_and_puts_nothing_twice(
    locking: Ours, day: Span, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    # As where the server does not take a lock along with what is put: it is a write of its own then.
    monkeypatch.setattr("audit.buckets.bucket._headers_of", lambda lock: {})
    places = [*killed_after_each_write(lambda number: locking.place(f"{number}"), made, step)]
    assert len(places) >= 3 * len(NAMES) // step
    for prefix in (root.rsplit("/", 1)[1] for root in places):
        bucket = locking.at(f"{prefix}/day={DAY}")
        assert sorted(bucket.list()) == NAMES
        assert all(len(bucket.versions(name)) == 1 and bucket.lock_of(name) for name in NAMES)
        assert leaves(locking, prefix) == [*range(day.first, day.last)]
        assert check(place(locking, prefix)).manifest.document["records"] == day.last - day.first


KILLED = """
import os, signal, sys
import django
django.setup()
from audit.archive.span import Span
from audit.buckets.bucket import Bucket
from audit.models import Checkpoint
from audit.streams.days import make
root, day, first, last, checkpoint = sys.argv[1:]
span = Span(int(first), int(last), Checkpoint.objects.get(number=checkpoint))
make.RECORDS_PER_GROUP, make.RECORDS_PER_FILE, make.span_of = 1, 3, lambda day: span
put = Bucket.put
def puts(self, name, *given):
    version = put(self, name, *given)
    if name == "part-00002.parquet":
        os.kill(os.getpid(), signal.SIGKILL)
    return version
Bucket.put = puts
make.make(day, root, by="op", unredacted=True)
"""


def test_another_process_goes_on_where_one_was_killed(locking: Ours, day: Span, settings: Any) -> None:
    storage = settings.S3
    of_storage = {"S3_ENDPOINT": storage.endpoint, "S3_ACCESS_KEY_ID": storage.access_key, "S3_ADDRESSING": "path"}
    of_storage |= {"S3_SECRET_ACCESS_KEY": storage.secret_key, "S3_WORK_DIR": str(storage.work_dir)}
    of_storage |= {"ARCHIVE_LOCK_DAYS": str(longest())}
    span = [str(day.first), str(day.last), str(day.checkpoint.number)]
    command = [sys.executable, "-c", KILLED, locking.place("lake"), DAY, *span]
    run = subprocess.run(command, env=os.environ | of_storage, capture_output=True, text=True)
    assert run.returncode == -signal.SIGKILL, run.stderr
    assert locking.names() == {f"lake/day={DAY}/part-0000{number}.parquet" for number in (1, 2)}
    with pytest.raises(DayFault, match=r"_manifest\.txt is missing, so the day is not whole: `manage\.py stream day`"):
        check(place(locking))
    until_free(BucketTarget(place(locking)))
    made(locking.place("lake"))
    assert leaves(locking) == [*range(day.first, day.last)]
    assert check(place(locking)).manifest.last == day.last
    assert len(locking.at(f"lake/day={DAY}").versions("part-00001.parquet")) == 1


def test_what_somebody_else_put_where_a_file_should_be_is_neither_signed_nor_written_over(
    locking: Ours, day: Span
) -> None:
    killed_after(3, lambda: made(locking.place("lake")))
    mine = locking.body(f"lake/day={DAY}/part-00001.parquet")
    locking.put(f"lake/day={DAY}/part-00001.parquet", b"something else")
    with pytest.raises(
        ArchiveUnusable, match=r"part-00001\.parquet is there, and no record says that this store wrote"
    ):
        made(locking.place("lake"))
    assert mine != locking.body(f"lake/day={DAY}/part-00001.parquet") == b"something else"


def test_what_lies_over_a_file_is_told_with_the_version_that_holds(locking: Ours, day: Span) -> None:
    made(locking.place("lake"))
    bucket = locking.at(f"lake/day={DAY}")
    for name in NAMES:
        holding = bucket.versions(name)[0].id
        locking.put(f"lake/day={DAY}/{name}", b"{}")
        with pytest.raises(DayFault, match=f"{name}.*another version was put over it, and the version {holding} of"):
            check(place(locking))
        locking.delete(f"lake/day={DAY}/{name}", bucket.versions(name)[0].id)
        locking.delete(f"lake/day={DAY}/{name}")
        with pytest.raises(
            DayFault, match=f"{name} is missing.*a delete marker lies over it, and the version {holding}"
        ):
            check(place(locking))
        locking.delete(f"lake/day={DAY}/{name}", bucket.versions(name)[0].id)
    check(place(locking))


def test_a_bucket_without_a_lock_is_a_note_or_refused_where_locks_are_required(
    plain: Ours, day: Span, settings: Any
) -> None:
    made(plain.place("lake"))
    said = "the bucket has no object lock: whoever may remove its objects can remove these files"
    assert check(place(plain)).notes == [said]
    settings.ARCHIVE_LOCK = ArchiveLock("COMPLIANCE", longest(), True)
    with pytest.raises(DayFault, match=f"{said}, and ARCHIVE_LOCK_REQUIRED asks for it"):
        check(place(plain))
    with pytest.raises(ArchiveUnusable, match="has no object lock, and ARCHIVE_LOCK_REQUIRED asks for it"):
        made(plain.place("other"))


def test_a_lock_that_is_shorter_than_the_longest_floor_is_refused(locking: Ours, day: Span, settings: Any) -> None:
    settings.ARCHIVE_LOCK = ArchiveLock("COMPLIANCE", longest() - 1, False)
    with pytest.raises(ArchiveUnusable, match="files are locked for as long as that, or longer"):
        made(locking.place("lake"))
    assert locking.names() == set()


def test_the_command_takes_a_bucket_where_it_takes_a_folder(
    locking: Ours, day: Span, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("stream", "day", DAY, locking.place("lake/"), "--unredacted")
    call_command("stream", "check-day", place(locking))
    printed = capsys.readouterr().out
    assert f"{place(locking)}: check it with `manage.py stream check-day {place(locking)}`" in printed
    assert "locked in the mode COMPLIANCE until" in printed
    assert "3 files are as they were signed, and each row leads to its leaf" in printed


def test_what_is_no_address_of_a_bucket_is_refused(day: Span) -> None:
    with pytest.raises(ArchiveUnusable, match="This is no place to keep files in: the prefix of s3://bucket/ must be"):
        made("s3://bucket/../x")
