"""places: where files are kept: in a folder, or in a bucket as s3://BUCKET/PREFIX."""

from pathlib import Path

from audit.archive.bucket import BucketTarget
from audit.archive.folder import Folder, Target
from audit.buckets import address

Place = str | Path
# As help texts name it.
METAVAR = "FOLDER|s3://BUCKET/PREFIX"


def target_of(place: Place) -> Target:
    """Raises `ArchiveUnusable` where it is the address of no bucket."""
    return BucketTarget(str(place)) if address.is_address(str(place)) else Folder(Path(place))


def below(place: Place, name: str) -> Place:
    """The place of this name within another."""
    return f"{str(place).rstrip('/')}/{name}" if address.is_address(str(place)) else Path(place) / name
