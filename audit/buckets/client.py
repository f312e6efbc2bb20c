"""client: a connection to an S3-compatible server, bounded in time and tries; certificates are always checked."""

from functools import cache
from typing import Any
from urllib.parse import urlsplit

from audit.buckets.faults import BucketFault, told
from audit.buckets.storage import Storage

CONNECT_S = 10.0
# Of one request, with growing pauses in between.
TRIES = 4
MISSING = (
    "botocore, which speaks to S3-compatible storage, is not installed: install the extra `s3` "
    "(`pip install 'auditsite[s3]'`)."
)


class LibraryMissing(BucketFault):
    """The extra `s3` is not installed."""


def connect(storage: Storage, place: str) -> Any:
    """Return botocore's client for S3; nothing is asked of the server yet. Raises `BucketFault`."""
    try:
        import botocore.session
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError:
        raise LibraryMissing(MISSING) from None
    _check(storage, place)
    config = Config(
        connect_timeout=CONNECT_S,
        read_timeout=storage.timeout_s,
        retries={"mode": "standard", "total_max_attempts": TRIES},
        max_pool_connections=2,
        signature_version="s3v4",
        s3={"addressing_style": storage.addressing},
        # Newer kinds of checksums are refused by older servers. What is put has its MD5 beside it, which all check.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    session = botocore.session.Session()
    session.register_component("data_loader", _models())
    try:
        return session.create_client(
            "s3",
            # A server of one's own has no regions, and a signature needs the name of one.
            region_name=storage.region or ("us-east-1" if storage.endpoint else None),
            endpoint_url=storage.endpoint or None,
            aws_access_key_id=storage.access_key or None,
            aws_secret_access_key=storage.secret_key or None,
            verify=str(storage.ca_file) if storage.ca_file else True,
            config=config,
        )
    except (BotoCoreError, ValueError) as error:
        raise told(error, place) from None


@cache
def _models() -> Any:
    """What S3 can be asked, which botocore reads from files for a tenth of a second: once in a process."""
    import botocore.session

    return botocore.session.Session().get_component("data_loader")


def _check(storage: Storage, place: str) -> None:
    parts = urlsplit(storage.endpoint)
    if storage.endpoint and (parts.scheme not in ("http", "https") or not parts.hostname or parts.password):
        raise BucketFault(
            f"{place}: S3_ENDPOINT must be an address such as https://s3.example.org, without a password."
        )
    if bool(storage.access_key) != bool(storage.secret_key):
        lacking = "S3_SECRET_ACCESS_KEY" if storage.access_key else "S3_ACCESS_KEY_ID"
        raise BucketFault(f"{place}: one half of the credentials is set, and {lacking} is not: set both or neither.")
    if storage.ca_file and not storage.ca_file.is_file():
        raise BucketFault(f"{place}: S3_CA_FILE names {storage.ca_file}, and there is no such file.")
