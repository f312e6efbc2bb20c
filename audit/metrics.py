"""The metrics of the store; safe with several processes when PROMETHEUS_MULTIPROC_DIR is set."""

from prometheus_client import Counter, Gauge, Histogram

recorded = Counter("audit_recorded_total", "Events answered, by the promise given", ["state"])
record_seconds = Histogram(
    "audit_record_seconds",
    "Time from a valid event to its promise, in seconds",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2.5),
)
replica_failures = Counter("audit_replica_failures_total", "How often the replica failed, and was left out for a while")
parked = Counter("audit_parked_total", "Events that PostgreSQL could not take, by fault", ["fault"])
rejected = Counter("audit_rejected_total", "Requests refused, by HTTP status", ["status"])
rejected_events = Counter("audit_rejected_events_total", "Events refused, by reason", ["reason"])
kept_invalid = Counter("audit_kept_invalid_total", "Events that are not valid, kept in the dead letter queue")
rejected_uncounted = Counter(
    "audit_rejected_uncounted_total", "Events refused that neither server counted: only this metric and the log know"
)
ended_keys = Counter("audit_ended_keys_total", "Requests with a key that is revoked or has expired", ["writer"])
erased = Counter("audit_erased_total", "Values erased")
conflicts = Counter("audit_conflicts_total", "Event ids used again with other content")
nothing_kept = Counter("audit_nothing_kept_total", "Events answered 503: neither server could keep them")
breaker_open = Gauge("audit_breaker_open", "1 while a process does not ask PostgreSQL", multiprocess_mode="livemax")
breaker_opened = Counter("audit_breaker_opened_total", "Outages of PostgreSQL that a process noticed", ["reason"])
unsigned = Counter("audit_receipts_unsigned_total", "Answers without a signed receipt", ["reason"])
for reason in ("no key", "failed"):
    unsigned.labels(reason)  # there from the start: an alert on what is added would not see the first
refilled = Counter("audit_refilled_total", "Drained events that Redis kept, brought back or looked at", ["outcome"])
resumed = Counter("audit_resumed_total", "Logs that this process let go on under a cross-link")
backed_up = Counter("audit_backed_up_total", "Backups that this process made")
streamed = Counter("audit_streamed_total", "Records that a target of streams has taken", ["target"])
stream_faults = Counter("audit_stream_faults_total", "Batches that targets did not take", ["target", "fault"])
schema_misfits = Counter("audit_schema_misfits_total", "Events that do not fit their schema", ["event_type", "mode"])
taken = Counter(
    "audit_taken_total", "Events of other systems that came, by mapping and what became of them", ["mapping", "state"]
)
