"""storage: what is said of a server of buckets, and of locks; read from settings or from a target's table."""

from datetime import datetime
from pathlib import Path
from typing import NamedTuple


class Storage(NamedTuple):
    """Where the server is, and who we are there; what is empty is found by the library's own variables and files."""

    endpoint: str = ""
    region: str = ""
    access_key: str = ""
    secret_key: str = ""
    ca_file: Path | None = None
    addressing: str = "auto"
    timeout_s: float = 60.0
    # Where a file lies on this machine while it goes to a bucket or comes from one; None: where temporary files lie.
    work_dir: Path | None = None


class ArchiveLock(NamedTuple):
    """How each file of an archive is locked. With `is_required` a bucket without locks is refused."""

    mode: str
    days: int
    is_required: bool


class Lock(NamedTuple):
    """A lock of one version of an object: in a mode, until a time."""

    mode: str
    until: datetime


class Version(NamedTuple):
    """What is kept under a name, now or from before; or, as a marker, that somebody deleted it."""

    id: str
    at: datetime
    bytes: int
    is_current: bool
    is_marker: bool
