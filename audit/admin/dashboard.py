"""The start page: questions about the store, each answered by its parts, and what to do."""

from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib.humanize.templatetags.humanize import intcomma
from django.core.checks import ERROR
from django.db.models import Q
from django.urls import reverse

import dlq.checks
import dlq.errors
import dlq.stream
from audit import checks, visibility
from audit.access import access_log
from audit.accounting import balance
from audit.admin.display import age, waiting_records
from audit.completeness import summary
from audit.ledger import reader
from audit.ledger.verify.share import DAYS as VERIFIED_DAYS
from audit.ledger.verify.share import verified_share
from audit.models import Finding, Record, Verification
from audit.postgres import clock, durability, sql
from audit.postgres.gateway import gateway
from audit.reports import figures
from audit.review import signoff
from audit.search import months, query
from audit.streams import state

STALE_S = 180
VIEWS_COUNTED = 1_000
# Completeness is judged each minute; what is older than this says nothing about now.
RECONCILED_STALE_S = 900
SCOPES = {"all": "the whole log", "newest": "the newest entries", "rolling": "a scheduled part"}
LEVELS = ("ok", "warning", "error")
PROBLEMS = {"warning": "things to look at", "error": "problems"}
ACCOUNT_DAYS = 7


class Part(NamedTuple):
    """One line of the start page. `level` is ok, warning or error."""

    name: str
    level: str
    value: str
    remark: str = ""
    url: str = ""


class Question(NamedTuple):
    name: str
    # The answer where all is well.
    well: str
    parts: list[Part]

    @property
    def level(self) -> str:
        return max((part.level for part in self.parts), key=LEVELS.index)

    @property
    def answer(self) -> str:
        if self.level == "ok":
            return self.well
        worst = [part for part in self.parts if part.level == self.level]
        return worst[0].value if len(worst) == 1 else f"{len(worst)} {PROBLEMS[self.level]}"

    @property
    def reasons(self) -> list[Part]:
        """What keeps all from being well, the worst first."""
        ranked = sorted(self.parts, key=lambda part: -LEVELS.index(part.level))
        return [part for part in ranked if part.level != "ok"]

    @property
    def leads_to(self) -> str:
        """The name of the part that `url` leads to."""
        return next((part.name for part in self.parts if part.url and part.url == self.url), "")

    @property
    def url(self) -> str:
        """The page of the worst part that has one."""
        ranked = sorted(self.parts, key=lambda part: -LEVELS.index(part.level))
        return next((part.url for part in ranked if part.url), "")


@visibility.as_system()
def questions(user: Any) -> list[Question]:
    """The state of the store, for this person; reading it is no access to records."""
    sees_log = user.has_perm("audit.view_checkpoint")
    intact = [
        *(_verification() if user.has_perm("audit.view_verification") else []),
        *(_log() if sees_log else []),
        *(_protection() if sees_log else []),
    ]
    complete = [
        *(_completeness() if user.has_perm("audit.view_gap") else []),
        *(_account() if user.has_perm("audit.view_account") else []),
    ]
    waiting = [*_queue(user), *_reviews(user), *(_streams() if user.has_perm("audit.view_stream") else [])]
    asked = [
        Question("Is it complete?", "Nothing is missing", complete),
        Question("Is it intact?", f"{intact[0].value}, nothing amiss" if intact else "", intact),
        Question("Is anything waiting?", "Nothing waits", waiting),
        *([_who_looked()] if user.has_perm("audit.view_access") else []),
        Question("Can it take events?", "Both servers are up", [*_postgresql(), *_redis(), _clocks()]),
        Question("What is in it?", "Events come in", _records() if user.has_perm("audit.view_record") else []),
    ]
    return [question for question in asked if question.parts]


def _who_looked() -> Question:
    day = datetime.now(UTC) - timedelta(days=1)
    accesses = access_log.looks().filter(Q(event_timestamp__gte=day), months.since(day))
    count, newest = accesses.order_by()[: VIEWS_COUNTED + 1].count(), accesses.first()
    many = f"{intcomma(VIEWS_COUNTED)}+" if count > VIEWS_COUNTED else intcomma(count)
    text = "No access in 24 h" if newest is None else f"{many} views in 24 h"
    remark = "" if newest is None else f"{newest.actor_id}, {_since(newest.event_timestamp)} ago"
    return Question(
        "Who has viewed records?",
        text,
        [Part("Access log", "ok", text, remark, reverse("admin:audit_access_changelist"))],
    )


def _since(moment: datetime) -> str:
    return age((datetime.now(UTC) - moment).total_seconds())


def _completeness() -> list[Part]:
    result = summary.summarize()
    url = reverse("admin:audit_gap_changelist")
    if result.until is None:
        return [
            Part("Completeness", "warning", "never checked", "The schedule reconciles: is the worker running?", url)
        ]
    covered = [writer for writer in result.writers if writer.is_covered]
    if not covered and not result.expected.unmet:
        return [Part("Completeness", "warning", "not covered", result.sentence, url)]
    level, value = ("error", "not complete") if result.lacks else ("ok", "nothing missing")
    if result.whole and datetime.now(UTC) - result.until > timedelta(seconds=RECONCILED_STALE_S):
        level, value = "warning", "not read since"
    if result.is_counting and not result.lacks:
        level, value = "warning", "still being counted"
    return [Part("Completeness", level, value, result.sentence, url)]


def _account() -> list[Part]:
    today = datetime.now(UTC).date()
    result = balance.compute(today - timedelta(days=ACCOUNT_DAYS - 1), today)
    level = {"balanced": "ok", "not yet": "warning", balance.NOTHING: "warning"}.get(result.state, "error")
    value, settled = result.state, result.settled_at
    if value == "not yet" and settled and datetime.now(UTC) - settled < timedelta(seconds=RECONCILED_STALE_S):
        level, value = "ok", f"balanced up to {settled:%H:%M:%S}Z"
    elif value == "not yet":
        value = "in progress"
    url = reverse("admin:audit_account_changelist")
    as_of = f"Queue counters as of {result.copied_at:%H:%M:%S}Z: " if result.copied_at else ""
    remark = as_of + result.total.sentence
    return [Part(f"Reconciliation of {ACCOUNT_DAYS} days", level, value, remark, url)]


def _records() -> list[Part]:
    last = query.newest(Record.objects.all(), datetime.now(UTC))
    parts = [Part("Records", "ok", query.about_how_many(), url=reverse("admin:audit_record_changelist"))]
    if last is None:
        return [*parts, Part("Last record", "warning", "none yet", "Create a writer and send an event.")]
    # Not which: that is a look at a record, and this is the state of the store.
    return [*parts, Part("Last record", "ok", f"{_since(last.event_timestamp)} ago")]


def _log() -> list[Part]:
    url = reverse("admin:audit_checkpoint_changelist")
    head = reader.head()
    waiting = reader.waiting()
    if head is None:
        return [Part("Sealed log", "warning", "empty", "Nothing is sealed yet: is the sealer running?", url)]
    silent = (datetime.now(UTC) - head.created_at).total_seconds()
    value = f"{intcomma(head.size)} records"
    if waiting.oldest_s > settings.SEAL_MERGE_DELAY_S:
        remark = f"{waiting_records(waiting.number, waiting.oldest_s)}: is the sealer running?"
        return [Part("Sealed log", "error", value, remark, url)]
    if silent > 2 * settings.SEAL_IDLE_S:
        return [Part("Sealed log", "error", value, f"Nothing was signed for {age(silent)}.", url)]
    return [Part("Sealed log", "ok", value, f"Signed {age(silent)} ago.", url)]


def _verification() -> list[Part]:
    url = reverse("admin:audit_verification_changelist")
    parts = []
    if count := Finding.objects.still_so().count():
        text = "Records, leaves or signatures do not fit: keep everything as it is, and tell your security officer."
        parts.append(Part("Findings", "error", intcomma(count), text, reverse("admin:audit_finding_changelist")))
    scheduled = ("all", "newest", "rolling")
    last = Verification.objects.filter(ended_at__isnull=False, scope__in=scheduled).first()
    if last is None or last.ended_at is None:
        remark = "The schedule verifies: is the worker running?"
        return [*parts, Part("Verification", "warning", "never ran", remark, url)]
    level = "ok" if last.verdict == "VERIFIED" else "warning" if last.verdict == "NOT COVERED" else "error"
    leaves, size = verified_share()
    value = f"{figures.share(leaves, size)} of the log verified in {VERIFIED_DAYS} days"
    remark = f"The last run: {last.verdict}, {SCOPES[last.scope]}, {_since(last.ended_at)} ago."
    return [*parts, Part("Verification", level, value, remark, url)]


def _streams() -> list[Part]:
    """One line for all targets; none where nothing is streamed."""
    lags = [lag for lag in state.lags() if lag.stream.ended_at is None]
    if not lags:
        return []
    url = reverse("admin:audit_stream_changelist")
    worst = max(lags, key=lambda lag: (lag.is_overdue, lag.state == "failing", lag.seconds))
    if worst.state == "up to date":
        many = f"{len(lags)} target{'s' if len(lags) > 1 else ''}"
        return [Part("Streams", "ok", "up to date", f"{many} given what is sealed", url)]
    remark = worst.stream.problem or f"it lacks {intcomma(worst.records)} records"
    level = "error" if worst.is_overdue else "warning"
    return [Part("Streams", level, f"{worst.stream.name}: {worst.state}", remark[:200], url)]


def _protection() -> list[Part]:
    faults = checks.database(None, databases=["default"])
    if not faults:
        return [Part("Protection", "ok", "in place", "Triggers, rights and functions are those of the repository.")]
    worst = max(faults, key=attrgetter("level"))
    level = "error" if worst.level >= ERROR else "warning"
    return [Part("Protection", level, f"{len(faults)} findings", f"{worst.id}: {worst.msg}")]


def _postgresql() -> list[Part]:
    breaker = gateway().breaker
    [(version,)] = sql.rows("SHOW server_version", using="reader")
    if breaker.is_open:
        return [Part("PostgreSQL", "error", version, f"PostgreSQL is bypassed ({breaker.reason}): events are parked.")]
    now = durability.durability()
    if now.findings:
        worst = max(now.findings, key=attrgetter("level"))
        return [Part("PostgreSQL", "error" if worst.level >= ERROR else "warning", worst.msg, str(worst.hint))]
    return [Part("PostgreSQL", "ok", version, f"An event that is stored is {now.stored_means}, and is so at once.")]


def _clocks() -> Part:
    skew = clock.skew()
    if skew.is_wide:
        remark = "Times in records, in the queue and in the log disagree: is the time service of each host running?"
        return Part("Clocks", "error", f"{skew.widest_s:.1f} s apart", remark)
    return Part("Clocks", "ok", "agree", f"Web, Redis and PostgreSQL are within {max(skew.widest_s, 0.1):.1f} s.")


def _queue(user: Any) -> list[Part]:
    url = reverse("admin:audit_parked_changelist") if user.has_perm("audit.view_parked") else ""
    try:
        queue = dlq.stream.for_drain()
        stats, oldest, beats = queue.totals.stats(), queue.pages.oldest_age(), queue.activity.beats()
    except dlq.errors.Refused:
        return [Part("Dead letter queue", "error", "not readable", "Redis does not answer.", url)]
    level = "error" if stats.depth > settings.DLQ_ALERT_DEPTH else "warning" if stats.depth else "ok"
    remark = f"the oldest for {age(oldest)}" if stats.depth else "Nothing waits."
    now = f"At {datetime.now(UTC):%H:%M:%S}Z: "
    parts = [Part("Dead letter queue", level, f"{intcomma(stats.depth)} parked", remark, url)]
    if stats.dead:
        remark = f"{now}they need a person: correct, retry or discard them."
        parts.append(Part("Dead events", "error", f"{intcomma(stats.dead)} dead", remark, url and f"{url}?state=dead"))
    if stopped := queue.activity.paused():
        text = f"By {stopped[0]}, {_since(stopped[1])} ago: parked events stay parked until somebody resumes it."
        parts.append(Part("Draining", "warning", "paused", text, url))
    if not stats.balanced:
        parts.append(Part("Queue indexes", "error", "not balanced", "The indexes disagree with the stream."))
    return [*parts, _beat("Drain watcher", beats.get("last_watch_at")), _beat("Schedule", beats.get("last_tick_at"))]


def _reviews(user: Any) -> list[Part]:
    if not user.has_perm("audit.view_review"):
        return []
    days, url = signoff.waiting(), reverse("admin:audit_review_changelist")
    if days.missed:
        text = f"{_days(days.due)} more can be signed in time."
        return [Part("Daily review", "error", f"{_days(days.missed)} missed", text, url)]
    if days.due:
        return [Part("Daily review", "warning", f"{_days(days.due)} to review", "Look through it, and sign.", url)]
    return [Part("Daily review", "ok", "up to date", "Each day that was asked for and is over is signed.", url)]


def _days(count: int) -> str:
    return f"{count:,} day{'' if count == 1 else 's'}"


def _beat(name: str, at: datetime | None) -> Part:
    if at is None:
        return Part(name, "warning", "never ran", "Is the worker running?")
    seconds = (datetime.now(UTC) - at).total_seconds()
    if seconds > STALE_S:
        return Part(name, "error", f"{age(seconds)} ago", "It should run each minute: is the worker running?")
    return Part(name, "ok", f"{age(seconds)} ago")


def _redis() -> list[Part]:
    findings = dlq.checks.durability(None, databases=["default"])
    if not findings:
        return [Part("Redis", "ok", "durable", "Append-only file, fsync at every write, nothing evicted.")]
    if [finding.id for finding in findings] == [dlq.checks.NOT_READ]:
        remark = "Append-only file, nothing evicted; whether it is flushed at every write only the migration may read."
        return [Part("Redis", "ok", "durable", remark)]
    worst = max(findings, key=attrgetter("level"))
    return [Part("Redis", "error", worst.msg, str(worst.hint))]
