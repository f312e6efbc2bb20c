"""`manage.py reconcile`: what should be here, and never came?"""

import sys
from typing import Any

from audit.completeness import summary
from audit.completeness.summary import WriterSummary
from audit.management.counting import add_seconds, reconcile_with_bar
from audit.management.harmless import HarmlessCommand
from audit.models import Gap, Manifest, Unmet

FINDINGS_SHOWN = 20
INCOMPLETE, NOT_COVERED, NOT_YET = 3, 4, 5


class Command(HarmlessCommand):
    help = (
        "Read what was sealed since the last run, and say what never came. "
        f"Exit status: 0 complete, {INCOMPLETE} something is missing, numbered twice, silent or not met, "
        f"{NOT_COVERED} no writer says which events it made, {NOT_YET} nothing is missing of what was read, "
        "and not all was read."
    )

    def add_arguments(self, parser: Any) -> None:
        add_seconds(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        done = reconcile_with_bar(options["seconds"])
        result = summary.summarize()
        for writer in result.writers:
            self.stdout.write(_line(writer))
        gaps = Gap.objects.filter(closed_at=None, explained_at=None).select_related("numbering")
        for gap in gaps[:FINDINGS_SHOWN]:
            self.stdout.write(f"missing: {gap}, {_window(gap)}")
        for manifest in Manifest.objects.filter(closed_at=None, explained_at=None)[:FINDINGS_SHOWN]:
            self.stdout.write(f"manifest {manifest.outcome}: {manifest}, {manifest.came} of {manifest.count} came")
        self._more(sum(writer.open_gaps for writer in result.writers), "gaps: see the admin, Completeness.")
        unmet = Unmet.objects.filter(closed_at=None, explained_at=None).select_related("expectation")
        for finding in unmet[:FINDINGS_SHOWN]:
            self.stdout.write(f"not met: {finding}, due {finding.due_at:%Y-%m-%d %H:%M:%S}Z: {finding.wanted}")
        self._more(result.expected.unmet, "that were not met: see the admin, Unmet expectations.")
        self.stdout.write(result.sentence)
        covered = any(writer.is_covered for writer in result.writers)
        is_left = bool(done.left) or result.is_counting
        sys.exit(INCOMPLETE if result.lacks else NOT_YET if is_left else 0 if covered else NOT_COVERED)

    def _more(self, count: int, words: str) -> None:
        if count > FINDINGS_SHOWN:
            self.stdout.write(f"... and {count - FINDINGS_SHOWN} more {words}")


def _line(writer: WriterSummary) -> str:
    parts = [f"{writer.writer}: {writer.verdict}, {writer.events} events"]
    parts += [f"{writer.missing} missing in {writer.open_gaps} gaps"] if writer.missing else []
    parts += [f"{writer.explained} missing and explained"] if writer.explained else []
    parts += [f"{writer.reused} with a number that another had"] if writer.reused else []
    parts += [f"silent since {writer.silent_since:%Y-%m-%d %H:%M}Z"] if writer.silent_since else []
    return ", ".join(parts) + (f". {writer.not_covered}" if writer.not_covered else "")


def _window(gap: Gap) -> str:
    after = f"after {gap.after_at:%Y-%m-%d %H:%M:%S}Z and " if gap.after_at else ""
    before = f"before {gap.before_at:%Y-%m-%d %H:%M:%S}Z"
    return f"made {after}{before}; {gap.missing} of {gap.last - gap.first + 1} are missing"
