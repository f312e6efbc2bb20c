"""places: where an archive lies: in a folder, or in a bucket as s3://BUCKET/PREFIX."""

from pathlib import Path

from audit.archive.bucket import BucketTarget
from audit.archive.folder import Folder, Target
from audit.buckets import address

Place = str | Path


def target_of(place: Place) -> Target:
    """Raises `ArchiveUnusable` where it is the address of no bucket."""
    return BucketTarget(str(place)) if address.is_address(str(place)) else Folder(Path(place))
