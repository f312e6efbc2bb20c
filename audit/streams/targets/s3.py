"""s3: lines of JSON, compressed, as objects of a bucket: one for each batch, by day and by first log entry.

An object is there whole or not at all, and only then does the cursor move. Its name has a digest of what is in it: a
batch that is sent again, after a kill, is the same object, and what a restored log has in its place is another one.
"""

import gzip
import hashlib
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from django.conf import settings

from audit.buckets import address
from audit.buckets.bucket import Bucket
from audit.buckets.faults import BucketFault
from audit.buckets.storage import Storage
from audit.streams.config import Options
from audit.streams.faults import Misconfigured, Unavailable
from audit.streams.leaves import Line
from audit.streams.targets.base import Taken

DIGITS = 8
_DAY = re.compile(r"day=[0-9]{4}-[0-9]{2}-[0-9]{2}/\Z")


class S3Target:
    """A prefix of a bucket, for this target alone."""

    def __init__(self, options: Options):
        bucket, prefix = options.text("bucket"), options.text("prefix", "")
        try:
            self._address = address.read(f"{address.SCHEME}{bucket}/{prefix}")
        except ValueError as error:
            raise options.fault("bucket", str(error)) from None
        self._name = options.name
        own = _storage_of(options)
        self._secret = options.secret("secret_access_key", required=bool(own.access_key))
        # A target that says nothing of a server of its own goes where archives go.
        self._storage = own if own.endpoint or own.access_key else settings.S3
        self._bucket: Bucket | None = None

    @property
    def place(self) -> str:
        return str(self._address)

    def resume(self) -> Taken | None:
        """Name the last record of the newest object, of the newest day. Raises `TargetFault`."""
        with _told():
            bucket = self._opened()
            if not (days := [day for day in bucket.folders() if _DAY.match(day)]):
                return None
            # Of this target, and of none whose name begins like its own.
            own = re.compile(rf"{re.escape(max(days) + self._name)}-\d{{12,}}-[0-9a-f]{{{DIGITS}}}\.jsonl\.gz")
            newest = max(filter(own.fullmatch, bucket.list(f"{max(days)}{self._name}-")), default=None)
            if newest is None:
                return None
            with TemporaryDirectory(prefix="auditsite-stream-", dir=settings.S3.work_dir) as folder:
                path = Path(folder) / "newest"
                bucket.get(newest, path)
                return _last(path, f"{self.place}/{newest}")

    def send(self, lines: Sequence[Line]) -> None:
        body = b"".join(line.body + b"\n" for line in lines)
        digest = hashlib.sha256(body).hexdigest()[:DIGITS]
        name = f"day={datetime.now(UTC):%Y-%m-%d}/{self._name}-{lines[0].leaf:012}-{digest}.jsonl.gz"
        with _told():
            self._opened().offer(name, gzip.compress(body, compresslevel=6, mtime=0))

    def close(self) -> None:
        """Let the next batch connect anew, with the secret that is there then."""
        self._bucket = None

    def _opened(self) -> Bucket:
        if self._bucket is None:
            secret = self._storage.secret_key if self._secret is None else self._secret.read()
            self._bucket = Bucket(self._address, self._storage._replace(secret_key=secret))
        return self._bucket


def _storage_of(options: Options) -> Storage:
    """What the target's table says of its server. Raises `Invalid`."""
    if endpoint := options.text("endpoint", ""):
        options.url("endpoint")
    return Storage(
        endpoint=endpoint,
        region=options.text("region", ""),
        access_key=options.text("access_key_id", ""),
        ca_file=options.path("ca_file"),
        addressing=options.choice("addressing", "auto", ("auto", "path", "virtual")),
        timeout_s=options.number("timeout_s", 60, least=1, most=600),
    )


def _last(path: Path, place: str) -> Taken:
    """The record of the last line of an object. Raises `Misconfigured`."""
    last = b""
    try:
        with gzip.open(path) as file:
            for line in file:
                last = line
        newest = Line(0, last)
        return Taken(int(newest.document()["leaf_index"]), newest.event_id)
    except (KeyError, ValueError, EOFError, OSError, zlib.error) as error:
        text = f"{place}: the newest object is none of a stream ({type(error).__name__}): name another prefix"
        raise Misconfigured(text) from None


@contextmanager
def _told() -> Iterator[None]:
    """What a bucket did not do, as a fault of targets."""
    try:
        yield
    except BucketFault as fault:
        raise (Unavailable if fault.passes else Misconfigured)(str(fault)) from None
