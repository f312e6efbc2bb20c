"""Objects are put whole or not at all, never written over, and locked, so that the server refuses to remove them."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from audit.buckets import bucket as buckets
from audit.buckets.faults import BucketFault
from audit.buckets.storage import Lock
from tests.audit.buckets.conftest import Ours, library

pytestmark = pytest.mark.slow

MB = 2**20


def file_of(tmp_path: Path, body: bytes) -> Path:
    path = tmp_path / "file"
    path.write_bytes(body)
    return path


def lock(days: int = 30, mode: str = "COMPLIANCE") -> Lock:
    return Lock(mode, datetime.now(UTC).replace(microsecond=0) + timedelta(days=days))


@pytest.mark.parametrize("with_lock", [True, False])
@pytest.mark.parametrize("size", [0, 1_000, 7 * MB])
def test_what_was_put_comes_back(
    locking: Ours, plain: Ours, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, with_lock: bool
) -> None:
    monkeypatch.setattr(buckets, "PART_BYTES", 5 * MB)
    kept, body = (locking if with_lock else plain).at("a/b"), os.urandom(size)
    kept.put("one.bin", file_of(tmp_path, body))
    assert kept.list() == {"one.bin": size}
    kept.get("one.bin", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == body
    assert len(kept.versions("one.bin")) == 1


@pytest.mark.parametrize("size", [1_000, 7 * MB])
def test_nothing_is_written_over(
    locking: Ours, plain: Ours, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(buckets, "PART_BYTES", 5 * MB)
    for ours in (locking, plain):
        ours.put("p/name", b"theirs")
        with pytest.raises(FileExistsError, match="is there already, and nothing here is written over"):
            ours.at("p").put("name", file_of(tmp_path, bytes(size)))
        assert ours.body("p/name") == b"theirs"


def test_a_name_that_somebody_takes_meanwhile_is_not_written_over(
    plain: Ours, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain.put("p/name", b"theirs")
    monkeypatch.setattr(buckets.Bucket, "_is_taken", lambda self, name: False)  # they were a moment later
    with pytest.raises(FileExistsError):
        plain.at("p").put("name", file_of(tmp_path, b"ours"))
    assert plain.body("p/name") == b"theirs"


def test_a_name_that_lies_under_a_delete_marker_is_taken(locking: Ours, tmp_path: Path) -> None:
    locking.put("p/name", b"theirs")
    locking.delete("p/name")
    with pytest.raises(FileExistsError):
        locking.at("p").put("name", file_of(tmp_path, b"ours"))
    assert len(locking.at("p").versions("name")) == 2, "theirs, and the marker"


@pytest.mark.parametrize("size", [1_000, 7 * MB])
def test_what_is_locked_in_compliance_cannot_be_removed_nor_unlocked_before_its_time(
    locking: Ours, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(buckets, "PART_BYTES", 5 * MB)
    wanted = lock()
    version = locking.at("p").put("name", file_of(tmp_path, bytes(size)), wanted)
    assert locking.at("p").lock_of("name") == wanted
    of_it: Any = {"Bucket": locking.name, "Key": "p/name", "VersionId": version}
    shorter = {"Mode": "COMPLIANCE", "RetainUntilDate": wanted.until - timedelta(days=1)}
    for act in (
        lambda: locking.client.delete_object(**of_it),
        lambda: locking.client.delete_object(**of_it, BypassGovernanceRetention=True),
        lambda: locking.client.put_object_retention(**of_it, Retention=shorter),
        lambda: locking.client.put_object_retention(**of_it, Retention=shorter, BypassGovernanceRetention=True),
    ):
        with pytest.raises(library().ClientError, match="AccessDenied"):
            act()
    assert locking.at("p").lock_of("name", version) == wanted


def test_what_is_locked_in_governance_goes_by_a_right_of_its_own(locking: Ours, tmp_path: Path) -> None:
    version = locking.at().put("name", file_of(tmp_path, b"x"), lock(mode="GOVERNANCE"))
    with pytest.raises(library().ClientError, match="AccessDenied"):
        locking.delete("name", version)
    locking.client.delete_object(Bucket=locking.name, Key="name", VersionId=version, BypassGovernanceRetention=True)
    assert locking.at().versions("name") == []


def test_a_lock_that_the_server_does_not_confirm_is_no_lock(
    locking: Ours, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets.Bucket, "lock_of", lambda self, name, version="": None)
    with pytest.raises(BucketFault, match="does not say that it is locked"):
        locking.at().put("name", file_of(tmp_path, b"x"), lock())


def test_a_bucket_says_whether_it_locks(locking: Ours, plain: Ours) -> None:
    assert (locking.at().has_lock(), plain.at().has_lock()) == (True, False)


def test_versions_are_told_newest_first_with_the_markers_of_deletion(locking: Ours) -> None:
    for body in (b"1", b"22"):
        locking.put("p/name", body)
    locking.put("p/name-of-another", b"x")
    locking.delete("p/name")
    told = locking.at("p").versions("name")
    assert [(version.bytes, version.is_current, version.is_marker) for version in told] == [
        (0, True, True),
        (2, False, False),
        (1, False, False),
    ]


KILLED_IN_ITS_SECOND_PART = """
import os, pickle, signal, sys
from pathlib import Path
from audit.buckets import address, bucket
from audit.buckets.storage import Storage
bucket.PART_BYTES = 5 * 2**20
place, path, endpoint, access, secret = sys.argv[1:]
storage = Storage(endpoint=endpoint, access_key=access, secret_key=secret, addressing="path")
md5, parts = bucket._md5, []
def dies(body):
    parts.append(1)
    if len(parts) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return md5(body)
bucket._md5 = dies
bucket.Bucket(address.read(place), storage).put("name", Path(path))
"""


def test_a_process_that_is_killed_while_it_puts_leaves_no_object_and_what_it_began_is_taken_back(
    locking: Ours, tmp_path: Path
) -> None:
    storage, path = locking.gateway.storage, file_of(tmp_path, bytes(12 * MB))
    given = [locking.place("p"), str(path), storage.endpoint, storage.access_key, storage.secret_key]
    run = subprocess.run([sys.executable, "-c", KILLED_IN_ITS_SECOND_PART, *given], capture_output=True, text=True)
    assert run.returncode == -signal.SIGKILL, run.stderr
    assert locking.names() == set()
    assert len(locking.uploads()) == 1
    assert locking.at("p").take_back() == 1
    assert locking.uploads() == []
    locking.at("p").put("name", path)
    assert locking.at("p").list() == {"name": 12 * MB}


def test_a_part_that_is_damaged_on_its_way_is_refused_by_the_server(
    plain: Ours, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "_md5", lambda body: "AAAAAAAAAAAAAAAAAAAAAA==")
    with pytest.raises(BucketFault, match="BadDigest"):
        plain.at().put("name", file_of(tmp_path, b"x"))
    assert plain.names() == set()
