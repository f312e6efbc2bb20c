"""Gauges of log, completeness, accounting, reviews and exports, read whenever Prometheus asks."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import DatabaseError
from django.db.models import Count, Min, Sum
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from audit.accounting import balance, queue_counts
from audit.completeness import counts, silence
from audit.evidence import build, room
from audit.ledger import reader
from audit.models import (
    BrokenPromise,
    Expectation,
    Export,
    Finding,
    Followed,
    Gap,
)
from audit.postgres import clock, replica, sql
from audit.postgres.gateway import gateway
from audit.recovery import history
from audit.streams import state

ACCOUNT_DAYS = 7
# What the last vacuum counted: it costs the same however many there are.
_ROWS = """
SELECT relname::text, greatest(reltuples, 0)::bigint FROM pg_class
WHERE oid = ANY ('{audit_verification,audit_heartbeat,django_session,django_q_task}'::regclass[])
"""
# Each scope's last run that ended, in one round trip.
_ENDED = """
SELECT scope, (
    SELECT ended_at FROM audit_verification
    WHERE scope = scopes.scope AND ended_at IS NOT NULL ORDER BY id DESC LIMIT 1
) FROM unnest(%s::text[]) AS scopes (scope)
"""
# Of days that nobody reviewed in time, by whether somebody explained it.
_MISSED = """
SELECT count(*) FILTER (WHERE explained_at IS NULL), count(*) FILTER (WHERE explained_at IS NOT NULL)
FROM audit_missedreview WHERE closed_at IS NULL
"""
SCOPES = ("all", "newest", "rolling")
KINDS = ("ALTERED", "FORKED", "MISSING", "UNKNOWN")


class Gauges(Collector):
    """Gauges of the sealed log; `audit_log_up` is 0, and the others are absent, where PostgreSQL cannot be read."""

    def collect(self) -> Iterator[Metric]:
        try:
            families = [] if gateway().breaker.is_open else [family for part in _PARTS for family in part()]
        except DatabaseError:
            families = []
        yield from _clocks()
        yield GaugeMetricFamily("audit_log_up", "1 while the log can be read", value=bool(families))
        yield from families


def _clocks() -> Iterator[Metric]:
    skew = clock.skew()
    ahead_s = {"redis": skew.redis_s, "postgresql": skew.postgresql_s}
    known = {server: seconds for server, seconds in ahead_s.items() if seconds is not None}
    text = "By how much a server's clock is ahead of this process's"
    yield _family("audit_clock_ahead_seconds", text, "server", known)
    yield GaugeMetricFamily("audit_clock_skew_seconds", "Between any two of the clocks", value=skew.widest_s)


def _log() -> Iterator[Metric]:
    head = reader.head()
    waiting = reader.waiting()
    yield GaugeMetricFamily("audit_log_size", "Records under the newest checkpoint", value=head.size if head else 0)
    yield GaugeMetricFamily("audit_log_unsealed", "Records that wait for the sealer", value=waiting.number)
    yield GaugeMetricFamily("audit_log_lag_seconds", "How long the oldest of them has waited", value=waiting.oldest_s)
    signed = head.created_at.timestamp() if head else 0
    yield GaugeMetricFamily("audit_log_signed_timestamp_seconds", "When the newest checkpoint was signed", value=signed)
    cosigned = {name: moment.timestamp() for name, moment in reader.last_cosigned().items()}
    yield _family("audit_log_cosigned_timestamp_seconds", "When each witness last cosigned", "witness", cosigned)


def _verification() -> Iterator[Metric]:
    found = dict(Finding.objects.still_so().order_by().values_list("kind").annotate(count=Count("pk")))
    findings = {kind: found.get(kind, 0) for kind in KINDS}
    yield _family("audit_findings", "What verification found and no later run cleared", "kind", findings)
    ended = {scope: at.timestamp() for scope, at in sql.rows(_ENDED, [list(SCOPES)]) if at is not None}
    yield _family("audit_verified_timestamp_seconds", "When each scope was last verified", "scope", ended)


def _completeness() -> Iterator[Metric]:
    of_kinds = counts.of_kinds()
    gaps, broken = (of_kinds.get(counts.kind_of(kind), counts.Figures()) for kind in (Gap, BrokenPromise))
    open_ones = {"open": gaps.open, "explained": gaps.explained}
    yield _family("audit_gaps", "Gaps in the numbers of writers", "state", open_ones)
    missing = {"open": gaps.missing, "explained": gaps.missing_explained}
    yield _family("audit_missing_events", "Numbers that never came", "state", missing)
    open_ones = {"open": broken.open, "explained": broken.explained}
    yield _family("audit_broken_promises", "Events that are not where a receipt says", "state", open_ones)
    yield _unmet()
    yield GaugeMetricFamily("audit_silent_writers", "Writers silent for longer than usual", value=len(silence.silent()))
    until = Followed.objects.filter(name=Followed.COMPLETENESS).values_list("followed_at", flat=True).first()
    at = 0.0 if until is None else until.timestamp()
    yield GaugeMetricFamily(
        "audit_reconciled_timestamp_seconds", "All that was stored before then is reconciled", value=at
    )


def _unmet() -> GaugeMetricFamily:
    """Of each rule, so that one that is met at last goes back to 0."""
    unmet: Counter[int] = Counter()
    for rule, _, count in counts.open_by_rule():
        unmet[rule] += count
    by_rule = {name: unmet[pk] for pk, name in Expectation.objects.values_list("pk", "name")}
    return _family("audit_unmet_expectations", "Expectations not met, nor explained", "rule", by_rule)


def _account() -> Iterator[Metric]:
    today = datetime.now(UTC).date()
    lost = balance.compute(today - timedelta(days=ACCOUNT_DAYS), today).total.lost
    yield GaugeMetricFamily("audit_account_lost_events", "Promised in the last week, and nowhere", value=lost)
    at = queue_counts.copied_at()
    moment = 0.0 if at is None else at.timestamp()
    text = "When what the queue counted was last copied"
    yield GaugeMetricFamily("audit_account_copied_timestamp_seconds", text, value=moment)


def _reviews() -> Iterator[Metric]:
    [(open_ones, explained)] = sql.rows(_MISSED)
    missed = {"open": open_ones, "explained": explained}
    yield _family("audit_missed_reviews", "Days that nobody reviewed in time", "state", missed)


def _exports() -> Iterator[Metric]:
    by_state = Export.objects.order_by().values_list("state")
    rows = by_state.annotate(count=Count("pk"), written=Sum("done"), moved_at=Min("updated_at"))
    known = {state: (count, written, moved_at) for state, count, written, moved_at in rows}
    of_states = {state: known[state][0] if state in known else 0 for state in Export.STATES}
    yield _family("audit_exports", "Evidence bundles", "state", of_states)
    written = sum(of_state[1] for of_state in known.values())
    yield CounterMetricFamily("audit_export_records", "Records written into evidence bundles", value=written)
    oldest = min((known[state][2] for state in Export.UNDER_WAY if state in known), default=None)
    still = 0.0 if oldest is None else (datetime.now(UTC) - oldest).total_seconds()
    text = "How long the bundle under way that moved longest ago has not moved"
    yield GaugeMetricFamily("audit_export_still_seconds", text, value=max(still, 0.0))


def _recovery() -> Iterator[Metric]:
    backup, drill = history.last_backup(), history.last_drill()
    known = {} if backup is None else {"backup": backup.began_at.timestamp()}
    known |= {} if drill is None else {"drill": drill.drilled_at.timestamp()}
    text = "When the last backup was begun, and the last restore drill noted"
    yield _family("audit_backup_timestamp_seconds", text, "act", known)


def _replica() -> Iterator[Metric]:
    """How far it is behind what the primary has now; absent without one."""
    if not replica.is_configured():
        return
    source = replica.look(replica.SHOWN_WAIT_S)
    yield GaugeMetricFamily("audit_replica_up", "1 while the replica answers", value=source.is_replica)
    if source.is_replica:
        yield GaugeMetricFamily("audit_replica_behind_bytes", "What the replica lacks", value=source.bytes)
        text = "How long ago what it shows last was committed, at most; 0 where it lacks nothing"
        yield GaugeMetricFamily("audit_replica_behind_seconds", text, value=source.seconds)


def _streams() -> Iterator[Metric]:
    counted = [lag for lag in state.lags() if lag.stream.ended_at is None]
    for name, text, values in (
        ("lag_records", "Sealed records that a target of streams lacks", [lag.records for lag in counted]),
        ("lag_seconds", "How long ago the oldest of them was stored", [lag.seconds for lag in counted]),
        ("failing", "1 while a target takes nothing for a fault", [lag.state == "failing" for lag in counted]),
        ("left_out_records", "Records that it has references to alone", [lag.stream.refused for lag in counted]),
    ):
        known = {lag.stream.name: float(value) for lag, value in zip(counted, values, strict=True)}
        yield _family(f"audit_stream_{name}", text, "target", known)


def _ends() -> Iterator[Metric]:
    """Of what has an end, so that one that is not kept shows."""
    rows = {name: float(count) for name, count in sql.rows(_ROWS, using="reader")}
    yield _family("audit_table_rows", "About how many rows, of tables whose rows have an end", "table", rows)
    if settings.EXPORT_DIR is not None:
        taken = room.used(build.folder())
        yield GaugeMetricFamily("audit_export_bytes", "What evidence bundles take on the disk", value=taken)


def _family(name: str, text: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family


_PARTS = (_log, _verification, _completeness, _account, _reviews, _exports, _recovery, _replica, _streams, _ends)
