"""bucket: put, get and list objects below a prefix of a bucket, with their versions and locks.

There is no delete. A file goes up in parts of bounded size, each with its MD5, which the server checks; a part is all
that is in memory. What was begun and never completed is no object, and is taken back before the next file goes up.
"""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from audit.buckets import client
from audit.buckets.address import Address
from audit.buckets.faults import BucketFault, code_of, status_of, told
from audit.buckets.storage import Lock, Storage, Version

PART_BYTES, PARTS_MAX = 16 * 2**20, 10_000
READ_BYTES = 1 << 20
# Of one listing: an archive has some thousands of files.
NAMES_MAX = 1_000_000
_ABSENT = {"NoSuchKey", "404", "NotFound", "NoSuchVersion"}
# What servers without it say to a request for what they do not have.
_UNKNOWN = {
    "NotImplemented",
    "MethodNotAllowed",
    "InvalidRequest",
    "ObjectLockConfigurationNotFoundError",
    "InvalidArgument",
}
_LISTED = {
    "list_objects_v2": ("Contents",),
    "list_object_versions": ("Versions", "DeleteMarkers"),
    "list_multipart_uploads": ("Uploads",),
}


class Bucket:
    """The objects below a prefix. Names are those of files, without the prefix. For one thread."""

    def __init__(self, address: Address, storage: Storage):
        self.address = address
        self._storage = storage
        self._connection: Any = None

    def __str__(self) -> str:
        return str(self.address)

    def put(self, name: str, file: Path, lock: Lock | None = None) -> str:
        """Put a file, whole or not at all, locked where that is asked for; return the id of its version, or "".

        Raises `FileExistsError` where the name is taken, also by somebody meanwhile, `BucketFault`, `OSError`.
        """
        if self._is_taken(name):
            raise FileExistsError(f"{self}/{name} is there already, and nothing here is written over")
        with file.open("rb") as opened:
            put = self._put_whole if file.stat().st_size <= PART_BYTES else self._put_parts
            version = put(name, opened, _headers_of(lock))
        if len(self.versions(name)) > 1:
            raise FileExistsError(f"{self}/{name} was put by somebody else at the same time: its versions are kept")
        if lock is not None:
            self.lock(name, version, lock)
        return version

    def get(self, name: str, to: Path, version: str = "") -> None:
        """Bring an object, or a version of it, into a file. Raises `FileNotFoundError`, `BucketFault`, `OSError`."""
        more = {"VersionId": version} if version else {}
        try:
            with self._asked(name):
                body = self._client().get_object(**self._of(name), **more)["Body"]
                with to.open("wb") as file:
                    while piece := body.read(READ_BYTES):
                        file.write(piece)
        except BucketFault as fault:
            if fault.code in _ABSENT:
                raise FileNotFoundError(name) from None
            raise

    def offer(self, name: str, body: bytes) -> None:
        """Put these bytes where nothing is; what is there already stays. Raises `BucketFault`."""
        with self._asked(name), suppress(FileExistsError):
            self._if_absent("put_object", **self._of(name), Body=body, ContentMD5=_md5(body))

    def list(self, begin: str = "") -> dict[str, int]:
        """Name each object below the prefix whose name begins so, with its bytes. Raises `BucketFault`."""
        items = self._pages("list_objects_v2", self.address.stem + begin)
        return {item["Key"].removeprefix(self.address.stem): item["Size"] for item in items}

    def folders(self) -> Sequence[str]:
        """Name what stands before a slash in the names, slash included. Raises `BucketFault`."""
        found = self._pages("list_objects_v2", of="CommonPrefixes", Delimiter="/")
        return [str(item["Prefix"]).removeprefix(self.address.stem) for item in found]

    def versions(self, name: str) -> Sequence[Version]:
        """What is kept under this name, newest first; one, or none, where the bucket keeps no versions."""
        found = [
            Version(
                str(item.get("VersionId", "")),
                item["LastModified"],
                int(item.get("Size", 0)),
                bool(item["IsLatest"]),
                "Size" not in item,
            )
            for item in self._pages("list_object_versions", self.address.stem + name)
            if item["Key"] == self.address.stem + name
        ]
        return sorted(found, key=lambda version: (version.is_current, version.at), reverse=True)

    def lock_of(self, name: str, version: str = "") -> Lock | None:
        """The lock of an object, as the server says, or None. Raises `FileNotFoundError`, `BucketFault`."""
        more = {"VersionId": version} if version else {}
        try:
            with self._asked(name):
                said = self._client().head_object(**self._of(name), **more)
        except BucketFault as fault:
            if fault.code in _ABSENT:
                raise FileNotFoundError(name) from None
            raise
        if "ObjectLockMode" not in said:
            return None
        return Lock(said["ObjectLockMode"], said["ObjectLockRetainUntilDate"])

    def lock(self, name: str, version: str, lock: Lock) -> None:
        """Read back the lock of what was put; give it where the server did not take it along. Raises `BucketFault`."""
        for given in (False, True):
            kept = self.lock_of(name, version)
            if kept is not None and kept.mode == lock.mode and kept.until >= lock.until:
                return
            if not given:
                with self._asked(name):
                    self._client().put_object_retention(
                        **self._of(name),
                        VersionId=version,
                        Retention={"Mode": lock.mode, "RetainUntilDate": lock.until},
                    )
        raise BucketFault(f"{self}/{name} was put, and the server does not say that it is locked: look at it there.")

    def has_lock(self) -> bool:
        """Whether objects can be locked in the bucket. Raises `BucketFault`, also where there is no bucket."""
        try:
            with self._asked():
                said = self._client().get_object_lock_configuration(Bucket=self.address.bucket)
        except BucketFault as fault:
            if fault.code in _UNKNOWN:
                return False
            raise
        return bool(said.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled")

    def take_back(self) -> int:
        """Take back what was begun below the prefix and never completed; return how many. Raises `BucketFault`."""
        begun = [*self._pages("list_multipart_uploads")]
        for upload in begun:
            with self._asked():
                self._client().abort_multipart_upload(
                    Bucket=self.address.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                )
        return len(begun)

    def _is_taken(self, name: str) -> bool:
        return any(not version.is_marker for version in self.versions(name))

    def _put_whole(self, name: str, file: IO[bytes], headers: dict[str, Any]) -> str:
        body = file.read()
        with self._asked(name):
            put = self._if_absent("put_object", **self._of(name), Body=body, ContentMD5=_md5(body), **headers)
        return str(put.get("VersionId", ""))

    def _put_parts(self, name: str, file: IO[bytes], headers: dict[str, Any]) -> str:
        size = max(PART_BYTES, -(-Path(file.name).stat().st_size // PARTS_MAX))
        with self._asked(name):
            upload = {"UploadId": self._client().create_multipart_upload(**self._of(name), **headers)["UploadId"]}
            parts: list[dict[str, Any]] = []
            while body := file.read(size):
                number = len(parts) + 1
                part = self._client().upload_part(
                    **self._of(name), **upload, PartNumber=number, Body=body, ContentMD5=_md5(body)
                )
                parts.append({"PartNumber": number, "ETag": part["ETag"]})
            whole = self._if_absent(
                "complete_multipart_upload", **self._of(name), **upload, MultipartUpload={"Parts": parts}
            )
        return str(whole.get("VersionId", ""))

    def _if_absent(self, call: str, **arguments: Any) -> Any:
        """Put only where nothing is; as a plain put where the server does not know such conditions."""
        from botocore.exceptions import ClientError

        try:
            return getattr(self._client(), call)(**arguments, IfNoneMatch="*")
        except ClientError as error:
            if status_of(error) == 412:
                raise FileExistsError(f"{self} has it already, and nothing here is written over") from None
            if code_of(error) != "NotImplemented":
                raise
            return getattr(self._client(), call)(**arguments)

    def _pages(self, call: str, prefix: str | None = None, of: str = "", **more: str) -> Iterator[dict[str, Any]]:
        """Yield what is listed, page after page: the members `of` each page."""
        wanted = {"Bucket": self.address.bucket, "Prefix": self.address.stem if prefix is None else prefix} | more
        members = (of,) if of else _LISTED[call]
        count = 0
        with self._asked():
            for page in self._client().get_paginator(call).paginate(**wanted):
                for item in (item for member in members for item in page.get(member, ())):
                    count += 1
                    if count > NAMES_MAX:
                        raise BucketFault(
                            f"{self} has more than {NAMES_MAX:,} objects: an archive has a prefix of its own"
                        )
                    yield item

    def _of(self, name: str) -> dict[str, str]:
        return {"Bucket": self.address.bucket, "Key": self.address.stem + name}

    def _client(self) -> Any:
        if self._connection is None:
            self._connection = client.connect(self._storage, str(self))
        return self._connection

    @contextmanager
    def _asked(self, name: str = "") -> Iterator[None]:
        """Say in words what fails. Raises `BucketFault`."""
        self._client()
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (BotoCoreError, ClientError) as error:
            raise told(error, f"{self}/{name}" if name else str(self)) from None


def _headers_of(lock: Lock | None) -> dict[str, Any]:
    return {} if lock is None else {"ObjectLockMode": lock.mode, "ObjectLockRetainUntilDate": lock.until}


def _md5(body: bytes) -> str:
    """Of a part, as servers check it: against damage on the way, and not against people."""
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
