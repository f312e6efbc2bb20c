"""What the store keeps, and what is known of what it should have."""

from audit.models.completeness import Followed, Found, Gap, Heartbeat, Hole, Manifest, Numbering, Rhythm
from audit.models.rights import ACCESS, Access, AuditorScope
from audit.models.store import (
    OWN_WRITER,
    AppendOnly,
    AppendOnlyQuerySet,
    Checkpoint,
    Discard,
    Episode,
    Finding,
    FindingQuerySet,
    Leaf,
    Parked,
    Quarantined,
    Record,
    RecordQuerySet,
    Verification,
)
from audit.models.writers import Writer, WriterKey, default_scopes

__all__ = [
    "ACCESS",
    "OWN_WRITER",
    "Access",
    "AppendOnly",
    "AppendOnlyQuerySet",
    "AuditorScope",
    "Checkpoint",
    "Discard",
    "Episode",
    "Finding",
    "FindingQuerySet",
    "Followed",
    "Found",
    "Gap",
    "Heartbeat",
    "Hole",
    "Leaf",
    "Manifest",
    "Numbering",
    "Parked",
    "Quarantined",
    "Record",
    "RecordQuerySet",
    "Rhythm",
    "Verification",
    "Writer",
    "WriterKey",
    "default_scopes",
]
