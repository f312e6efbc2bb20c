"""What the store keeps, and what is known of what it should have."""

from audit.models.access import ACCESS, Access, AuditorScope, RightsRequest
from audit.models.accounting import Account, DayRecord, Loss, Passage, Promise, RejectedSample, Rejection
from audit.models.base import AppendOnly, AppendOnlyQuerySet, Discrepancy
from audit.models.completeness import Followed, Gap, Heartbeat, Hole, HourCount, Manifest, Numbering, Rhythm
from audit.models.evidence import STATEMENT, Export, LegalHold, RedactionRule, Statement
from audit.models.expectations import ASKS, Awaited, Expectation, Tally, Unmet, Waiver
from audit.models.ingest import OutboxAlarm
from audit.models.ledger import Checkpoint, Finding, FindingQuerySet, Leaf, Verification
from audit.models.queue import Discard, Episode, Parked, Quarantined, QueueGeneration
from audit.models.receipts import BrokenPromise
from audit.models.records import OWN_WRITER, Record, RecordQuerySet
from audit.models.reports import Report
from audit.models.review import MissedReview, Review
from audit.models.search import SavedView
from audit.models.writers import Writer, WriterKey, default_scopes

__all__ = [
    "ACCESS",
    "ASKS",
    "OWN_WRITER",
    "STATEMENT",
    "Access",
    "Account",
    "AppendOnly",
    "AppendOnlyQuerySet",
    "AuditorScope",
    "Awaited",
    "BrokenPromise",
    "Checkpoint",
    "DayRecord",
    "Discard",
    "Discrepancy",
    "Episode",
    "Expectation",
    "Export",
    "Finding",
    "FindingQuerySet",
    "Followed",
    "Gap",
    "Heartbeat",
    "Hole",
    "HourCount",
    "Leaf",
    "LegalHold",
    "Loss",
    "Manifest",
    "MissedReview",
    "Numbering",
    "OutboxAlarm",
    "Parked",
    "Passage",
    "Promise",
    "Quarantined",
    "QueueGeneration",
    "Record",
    "RecordQuerySet",
    "RedactionRule",
    "RejectedSample",
    "Rejection",
    "Report",
    "Review",
    "Rhythm",
    "RightsRequest",
    "SavedView",
    "Statement",
    "Tally",
    "Unmet",
    "Verification",
    "Waiver",
    "Writer",
    "WriterKey",
    "default_scopes",
]
