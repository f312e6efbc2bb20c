"""Gauges of log, completeness, accounting, reviews and exports, read whenever Prometheus asks."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from django.db import DatabaseError
from django.db.models import Count, Min, Sum
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from audit.accounting import balance, queue_counts
from audit.completeness import silence
from audit.ledger import reader
from audit.models import BrokenPromise, Expectation, Export, Finding, Followed, Gap, MissedReview, Unmet, Verification
from audit.postgres import clock
from audit.postgres.gateway import gateway

ACCOUNT_DAYS = 7
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
    family = GaugeMetricFamily(
        "audit_clock_ahead_seconds", "By how much a server's clock is ahead of this process's", labels=["server"]
    )
    for server, ahead_s in (("redis", skew.redis_s), ("postgresql", skew.postgresql_s)):
        if ahead_s is not None:
            family.add_metric([server], ahead_s)
    yield family
    yield GaugeMetricFamily("audit_clock_skew_seconds", "Between any two of the clocks", value=skew.widest_s)


def _log() -> Iterator[Metric]:
    head = reader.head()
    waiting, age = reader.waiting()
    yield GaugeMetricFamily("audit_log_size", "Records under the newest checkpoint", value=head.size if head else 0)
    yield GaugeMetricFamily("audit_log_unsealed", "Records that wait for the sealer", value=waiting)
    yield GaugeMetricFamily("audit_log_lag_seconds", "How long the oldest of them has waited", value=age)
    signed = head.created_at.timestamp() if head else 0
    yield GaugeMetricFamily("audit_log_signed_timestamp_seconds", "When the newest checkpoint was signed", value=signed)
    family = GaugeMetricFamily(
        "audit_log_cosigned_timestamp_seconds", "When each witness last cosigned", labels=["witness"]
    )
    for name, moment in reader.last_cosigned().items():
        family.add_metric([name], moment.timestamp())
    yield family


def _verification() -> Iterator[Metric]:
    findings = GaugeMetricFamily("audit_findings", "What verification found and no later run cleared", labels=["kind"])
    for kind in KINDS:
        findings.add_metric([kind], Finding.objects.still_so().filter(kind=kind).count())
    yield findings
    ended = GaugeMetricFamily("audit_verified_timestamp_seconds", "When each scope was last verified", labels=["scope"])
    for scope in ("all", "newest", "rolling"):
        run = Verification.objects.filter(scope=scope, ended_at__isnull=False).first()
        if run is not None:
            ended.add_metric([scope], (run.ended_at or datetime.now(UTC)).timestamp())
    yield ended


def _completeness() -> Iterator[Metric]:
    states = {"open": True, "explained": False}
    gaps = GaugeMetricFamily("audit_gaps", "Gaps in the numbers of writers", labels=["state"])
    missing = GaugeMetricFamily("audit_missing_events", "Numbers that never came", labels=["state"])
    for state, bare in states.items():
        found = Gap.objects.filter(closed_at=None, explained_at__isnull=bare).order_by()
        row = found.aggregate(count=Count("pk"), numbers=Sum("missing"))
        gaps.add_metric([state], row["count"])
        missing.add_metric([state], row["numbers"] or 0)
    broken = GaugeMetricFamily("audit_broken_promises", "Events that are not where a receipt says", labels=["state"])
    for state, bare in states.items():
        broken.add_metric([state], BrokenPromise.objects.filter(closed_at=None, explained_at__isnull=bare).count())
    yield from (gaps, missing, broken, _unmet())
    yield GaugeMetricFamily("audit_silent_writers", "Writers silent for longer than usual", value=len(silence.silent()))
    until = Followed.objects.filter(name=Followed.COMPLETENESS).values_list("followed_at", flat=True).first()
    at = 0.0 if until is None else until.timestamp()
    yield GaugeMetricFamily(
        "audit_reconciled_timestamp_seconds", "All that was stored before then is reconciled", value=at
    )


def _unmet() -> GaugeMetricFamily:
    """Of each rule, so that one that is met at last goes back to 0."""
    family = GaugeMetricFamily("audit_unmet_expectations", "Expectations not met, nor explained", labels=["rule"])
    still = Unmet.objects.filter(closed_at=None, explained_at=None).order_by().values_list("expectation")
    counts = dict(still.annotate(count=Count("pk")))
    for pk, name in Expectation.objects.values_list("pk", "name"):
        family.add_metric([name], counts.get(pk, 0))
    return family


def _account() -> Iterator[Metric]:
    today = datetime.now(UTC).date()
    lost = balance.compute(today - timedelta(days=ACCOUNT_DAYS), today).total.lost
    yield GaugeMetricFamily("audit_account_lost_events", "Promised in the last week, and nowhere", value=lost)
    at = queue_counts.copied_at()
    moment = 0.0 if at is None else at.timestamp()
    text = "When what the queue counted was last copied"
    yield GaugeMetricFamily("audit_account_copied_timestamp_seconds", text, value=moment)


def _reviews() -> Iterator[Metric]:
    missed = GaugeMetricFamily("audit_missed_reviews", "Days that nobody reviewed in time", labels=["state"])
    for state, bare in (("open", True), ("explained", False)):
        missed.add_metric([state], MissedReview.objects.filter(closed_at=None, explained_at__isnull=bare).count())
    yield missed


def _exports() -> Iterator[Metric]:
    counts = dict(Export.objects.order_by().values_list("state").annotate(count=Count("pk")))
    family = GaugeMetricFamily("audit_exports", "Evidence bundles", labels=["state"])
    for state in Export.STATES:
        family.add_metric([state], counts.get(state, 0))
    yield family
    written = Export.objects.aggregate(done=Sum("done"))["done"] or 0
    yield CounterMetricFamily("audit_export_records", "Records written into evidence bundles", value=written)
    oldest = Export.objects.filter(state__in=Export.UNDER_WAY).aggregate(at=Min("updated_at"))["at"]
    still = 0.0 if oldest is None else (datetime.now(UTC) - oldest).total_seconds()
    text = "How long the bundle under way that moved longest ago has not moved"
    yield GaugeMetricFamily("audit_export_still_seconds", text, value=max(still, 0.0))


_PARTS = (_log, _verification, _completeness, _account, _reviews, _exports)
