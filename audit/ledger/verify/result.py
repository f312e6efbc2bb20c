"""The result of a verification while it is collected: counts, findings, what was not covered, and the verdict."""

import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

import structlog
from django.db.models import QuerySet

from audit.models import Finding, Verification

log = structlog.get_logger(__name__)

# Counted where a run ended before it had come to the end of what was asked for.
CUT_SHORT = "cut short"
MAX_FINDINGS = 1000  # how many of one kind and subject are kept a run; all are counted


class Verdict(StrEnum):
    """From worst to best. A failure dominates; what was not checked is never called verified."""

    FORKED = "FORKED"
    ALTERED = "ALTERED"
    MISSING = "MISSING"
    UNKNOWN = "UNKNOWN"
    NOT_COVERED = "NOT COVERED"
    VERIFIED = "VERIFIED"


FAILURES = (Verdict.FORKED, Verdict.ALTERED, Verdict.MISSING, Verdict.UNKNOWN)

Progress = Callable[[int, int], None]  # told how many leaves are checked, of how many


class OutOfTime(Exception):
    """The time of this part of the run is over; the run resumes from its position."""


class RunReport:
    """Collects the result of one run. Findings are stored at once, so that a killed run loses none."""

    def __init__(self, run: Verification, progress: Progress | None = None, seconds: float | None = None):
        self.run = run
        self._ends_at = None if seconds is None else time.monotonic() + seconds
        self.counts: Counter[str] = Counter(run.counts)
        self.not_covered: list[str] = list(run.not_covered)
        self._progress = progress
        # Under which name the newest head was signed.
        self.own_name = ""

    def count(self, what: str, number: int = 1) -> None:
        self.counts[what] += number

    def find(
        self, kind: Verdict, subject: str, detail: str, *, record_id: UUID | None = None, index: int | None = None
    ) -> None:
        """Store a finding; one that is known already is marked as seen again."""
        self.counts[kind.value] += 1
        self.counts[f"{kind.value} {subject}"] += 1
        if self.counts[f"{kind.value} {subject}"] > MAX_FINDINGS:
            return
        now = datetime.now(UTC)
        place = "" if record_id is None and index is None else f"{record_id or ''}:{'' if index is None else index}"
        finding, is_new = Finding.objects.get_or_create(
            key=f"{kind.value}:{subject}:{place or detail}"[:300],
            defaults={
                "kind": kind.value,
                "subject": subject,
                "record_id": record_id,
                "index": index,
                "detail": detail,
                "first_seen": now,
                "last_seen": now,
                "run": self.run,
            },
        )
        if is_new:
            log.error("verification_finding", kind=kind.value, subject=subject, record_id=str(record_id), index=index)
        else:
            Finding.objects.filter(pk=finding.pk).update(last_seen=now, run=self.run, detail=detail)

    def new(self) -> QuerySet[Finding]:
        """Return the findings that no earlier run had, including those of a part that was cut off."""
        return Finding.objects.filter(run=self.run, first_seen__gte=self.run.started_at).order_by("pk")

    def leave_out(self, text: str, subject: str = "") -> None:
        """Note that something was not checked; with a `subject`, this run clears no finding about it."""
        if text not in self.not_covered:
            self.not_covered.append(text)
        if subject and subject not in self.run.skipped:
            self.run.skipped = [*self.run.skipped, subject]

    def reached(self, position: int) -> None:
        """Save how far the leaves are checked, for a killed run to resume."""
        self.run.position = position
        self.save()
        if self._progress is not None:
            self._progress(position - self.run.first, self.run.last - self.run.first)

    @property
    def is_late(self) -> bool:
        """Whether the time is over."""
        return self._ends_at is not None and time.monotonic() > self._ends_at

    def stop_if_late(self) -> None:
        """Raise `OutOfTime` once the time is over."""
        if self.is_late:
            raise OutOfTime

    def save(self) -> None:
        self.run.counts, self.run.not_covered = dict(self.counts), self.not_covered
        self.run.updated_at = datetime.now(UTC)
        self.run.save()

    def verdict(self) -> Verdict:
        """Return the worst finding; VERIFIED only where something was checked, and the run came to its end."""
        for kind in FAILURES:
            if self.counts[kind.value]:
                return kind
        if self.counts["purged without a certificate"] or self.counts[CUT_SHORT]:
            return Verdict.NOT_COVERED
        return Verdict.VERIFIED if self.counts["records"] else Verdict.NOT_COVERED
