"""archive: a range of the log as evidence bundles in a folder or a bucket, kept elsewhere.

create    `create`, `resume`: write the volumes of a range, then the signed index
span      the range that is asked for, by leaves, times or a month
volumes   a volume: the evidence bundle of a part of the range
index     the signed index, which names each volume
places    where the files lie: a folder, or a bucket as s3://BUCKET/PREFIX
folder    what each storage does: put, get and list, never remove; a folder
bucket    a prefix of a bucket of S3-compatible storage, each file locked where the bucket locks
keeping   what the storage keeps beside the files: locks, and versions of before
check     `check`: prove all of it, or a volume, against the log
read      `read` an archive back into a table of its own, `forget` it again
archived  look for what was read back
covering  `covers`: the checked archive that holds all of a range
"""

from audit.archive.covering import covers

__all__ = ["covers"]
