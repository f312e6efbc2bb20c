"""What the store keeps, and what is known of what it should have."""

from audit.models.access import ACCESS, Access, AuditorScope, RightsRequest
from audit.models.accounting import Account, DayRecord, Loss, OutboxAlarm, Passage, Promise, RejectedSample, Rejection
from audit.models.base import AppendOnly, AppendOnlyQuerySet, Discrepancy
from audit.models.completeness import (
    CompletenessCount,
    Followed,
    Gap,
    Heartbeat,
    Hole,
    HourCount,
    Manifest,
    Numbering,
    Rhythm,
)
from audit.models.erasure.requests import ErasureDecision, ErasureRequest, ErasureRule
from audit.models.evidence import (
    STATEMENT,
    Archive,
    ArchiveCheck,
    ArchivedRecord,
    ArchiveVolume,
    Export,
    RedactionRule,
    Statement,
)
from audit.models.expectations import ASKS, Awaited, Expectation, LateAnswer, Tally, Unmet, Waiver
from audit.models.imports.mappings import ImportMapping
from audit.models.imports.places import ImportPlace
from audit.models.ledger import (
    Checkpoint,
    Finding,
    FindingQuerySet,
    ForgottenRuns,
    Leaf,
    LogCrossLink,
    LogResume,
    Verification,
    newest_head,
)
from audit.models.queue import Discard, Episode, Parked, Quarantined, QueueGeneration
from audit.models.receipts import BrokenPromise
from audit.models.records import OWN_WRITER, EventColumns, Record, RecordQuerySet
from audit.models.recovery import Backup, RestoreDrill
from audit.models.reports import Report
from audit.models.retention import (
    Floor,
    HoldRelease,
    LegalHold,
    LegalHoldQuerySet,
    PurgeCount,
    Purged,
    PurgeMonth,
    PurgeRun,
    RetentionDecision,
    RetentionRequest,
)
from audit.models.review import MissedReview, Review
from audit.models.search import SavedView, SearchAlarm
from audit.models.streams.cursors import Stream
from audit.models.streams.schemas import EventSchema
from audit.models.writers import Writer, WriterKey, default_scopes
