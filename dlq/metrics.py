"""Metrics that each process counts; what Redis knows is in gauges.py."""

from prometheus_client import Counter

parked = Counter("dlq_parked_total", "Documents parked, by reason", ["reason"])
drained = Counter("dlq_drained_total", "Messages removed because their document is stored", ["outcome"])
unsigned = Counter("dlq_unsigned_total", "Documents without a signature that DLQ_UNSIGNED_UNTIL let pass")
failed = Counter("dlq_failed_total", "Attempts that failed for another reason than an outage", ["kind", "state"])
not_kept = Counter("dlq_not_kept_total", "Drained messages that Redis did not keep for a restored store, for it failed")
refused = Counter("dlq_refused_total", "Times that Redis did not do what it was asked", ["error"])
spooled = Counter("dlq_spooled_total", "Documents kept in a local file, for Redis refused them too")
unspooled = Counter("dlq_unspooled_total", "Documents brought from local files to the store or the queue")
