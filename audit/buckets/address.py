"""address: `s3://BUCKET/PREFIX`, read."""

import re
from typing import NamedTuple

SCHEME = "s3://"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")
# Keys have 1,024 bytes at most, and names follow the prefix.
MAX_PREFIX_BYTES = 800


class Address(NamedTuple):
    """A bucket, and what the keys in it begin with: without a slash at its end, or empty."""

    bucket: str
    prefix: str

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.prefix}" if self.prefix else f"{SCHEME}{self.bucket}"

    @property
    def stem(self) -> str:
        """What each key begins with."""
        return f"{self.prefix}/" if self.prefix else ""


def is_address(text: str) -> bool:
    return text.startswith(SCHEME)


def read(text: str) -> Address:
    """Raises `ValueError`, which says what is wrong with it."""
    bucket, _, prefix = text.removeprefix(SCHEME).partition("/")
    if not is_address(text) or not _BUCKET.match(bucket):
        raise ValueError(
            f"{text} is no bucket: write {SCHEME}BUCKET/PREFIX, the bucket of 3 to 63 of a-z, 0-9, . and -"
        )
    prefix = prefix.rstrip("/")
    parts = prefix.split("/") if prefix else []
    if not prefix.isprintable() or len(prefix.encode()) > MAX_PREFIX_BYTES or {"", ".", ".."} & {*parts}:
        raise ValueError(
            f"the prefix of {SCHEME}{bucket}/ must be printable, have {MAX_PREFIX_BYTES} bytes at most, and no empty "
            "part, . or .. between its slashes"
        )
    return Address(bucket, prefix)
