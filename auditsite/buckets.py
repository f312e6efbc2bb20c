"""Settings of S3-compatible storage: where its server is, who we are there, and how archives are locked in it."""

from environs import validate

from audit.buckets.storage import ArchiveLock, Storage
from auditsite.readers import env, secret

# Seven years, as the floors that are seeded.
LOCK_DAYS = 2_557


def storage() -> Storage:
    """Read what buckets need. Raises `ImproperlyConfigured` of environs."""
    return Storage(
        endpoint=env.str("S3_ENDPOINT", ""),
        region=env.str("S3_REGION", ""),
        access_key=env.str("S3_ACCESS_KEY_ID", ""),
        secret_key=secret("S3_SECRET_ACCESS_KEY", ""),
        ca_file=env.path("S3_CA_FILE", None),
        addressing=env.str("S3_ADDRESSING", "auto", validate=validate.OneOf(["auto", "path", "virtual"])),
        timeout_s=env.float("S3_TIMEOUT_S", 60.0, validate=validate.Range(min=1, max=600)),
        work_dir=env.path("S3_WORK_DIR", None),
    )


def archive_lock() -> ArchiveLock:
    """Read how archives are locked."""
    return ArchiveLock(
        mode=env.str("ARCHIVE_LOCK_MODE", "COMPLIANCE", validate=validate.OneOf(["COMPLIANCE", "GOVERNANCE"])),
        days=env.int("ARCHIVE_LOCK_DAYS", LOCK_DAYS, validate=validate.Range(min=1, max=36_500)),
        is_required=env.bool("ARCHIVE_LOCK_REQUIRED", False),
    )
