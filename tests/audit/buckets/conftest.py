"""Scenes of buckets: a real gateway, and buckets of one's own in it."""

import secrets
from typing import Any

import pytest

from audit.archive.bucket import BucketTarget
from audit.buckets import address, client
from audit.buckets.bucket import Bucket
from audit.errors import ArchiveUnusable
from audit.retention import policy
from tests.audit.buckets import ceph
from tests.audit.buckets.ceph import Gateway


def library() -> Any:
    """What botocore raises; without the library the tests that ask for it are skipped."""
    return pytest.importorskip("botocore.exceptions", reason="botocore is not installed: the extra `s3`")


def longest() -> int:
    """The days of the longest floor, for which archives are locked: 2,557, or what other tests have set."""
    return max(floor.days for floor in policy.current())


def until_free(target: BucketTarget) -> None:
    """PostgreSQL notices that the process is gone when it looks at its connection again."""
    while True:
        try:
            with target.locked():
                return
        except ArchiveUnusable:
            continue


@pytest.fixture
def gateway() -> Gateway:
    """A server of S3-compatible storage, with versions and locks."""
    library()
    if not ceph.is_installed():
        pytest.skip(ceph.INSTALL)
    return ceph.started()


class Ours:
    """A bucket of one test, and what an insider with its key does in it."""

    def __init__(self, gateway: Gateway, *, with_lock: bool):
        self.gateway, self.name = gateway, f"b-{secrets.token_hex(6)}"
        self.client: Any = client.connect(gateway.storage, "tests")
        self.client.create_bucket(Bucket=self.name, ObjectLockEnabledForBucket=with_lock)

    def at(self, prefix: str = "") -> Bucket:
        return Bucket(address.read(self.place(prefix)), self.gateway.storage)

    def place(self, prefix: str = "") -> str:
        return f"s3://{self.name}/{prefix}"

    def put(self, key: str, body: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=body)

    def body(self, key: str) -> bytes:
        return bytes(self.client.get_object(Bucket=self.name, Key=key)["Body"].read())

    def delete(self, key: str, version: str = "") -> None:
        self.client.delete_object(Bucket=self.name, Key=key, **({"VersionId": version} if version else {}))

    def names(self) -> set[str]:
        return {item["Key"] for item in self.client.list_objects_v2(Bucket=self.name).get("Contents", ())}

    def uploads(self) -> list[Any]:
        return list(self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", ()))


@pytest.fixture
def locking(gateway: Gateway) -> Ours:
    """A bucket with object lock, and so with versions."""
    return Ours(gateway, with_lock=True)


@pytest.fixture
def plain(gateway: Gateway) -> Ours:
    """A bucket with neither."""
    return Ours(gateway, with_lock=False)
