"""`manage.py reconcile`: what should be here, and never came?"""

import sys
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from audit.completeness import summary
from audit.completeness.reconcile import reconcile
from audit.completeness.summary import Standing
from audit.management import HarmlessCommand
from audit.models import Gap, Manifest, Unmet

SHOWN = 20
INCOMPLETE, NOT_COVERED = 3, 4


class Command(HarmlessCommand):
    help = (
        "Read what was sealed since the last run, and say what never came. "
        f"Exit status: 0 complete, {INCOMPLETE} something is missing, numbered twice, silent or not met, "
        f"{NOT_COVERED} no writer says which events it made."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        columns = (TextColumn("records"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task("reconcile", total=None)
            reconcile(progress=lambda done, total: bar.update(task, completed=done, total=total))
        found = summary.look()
        for one in found.standings:
            self.stdout.write(_line(one))
        gaps = Gap.objects.filter(closed_at=None, explained_at=None).select_related("numbering")
        for gap in gaps[:SHOWN]:
            self.stdout.write(f"missing: {gap}, {_window(gap)}")
        for manifest in Manifest.objects.filter(closed_at=None, explained_at=None)[:SHOWN]:
            self.stdout.write(f"manifest {manifest.outcome}: {manifest}, {manifest.came} of {manifest.count} came")
        if (more := gaps.count() - SHOWN) > 0:
            self.stdout.write(f"... and {more} more gaps: see the admin, Completeness.")
        self._unmet(found.expected.unmet)
        self.stdout.write(found.sentence)
        covered = any(one.is_covered for one in found.standings)
        sys.exit(INCOMPLETE if not found.whole else 0 if covered else NOT_COVERED)

    def _unmet(self, count: int) -> None:
        unmet = Unmet.objects.filter(closed_at=None, explained_at=None).select_related("expectation")
        for one in unmet[:SHOWN]:
            self.stdout.write(f"not met: {one}, due {one.due_at:%Y-%m-%d %H:%M:%S}Z: {one.wanted}")
        if (more := count - SHOWN) > 0:
            self.stdout.write(f"... and {more} more that were not met: see the admin, Unmet expectations.")


def _line(one: Standing) -> str:
    parts = [f"{one.writer}: {one.verdict}, {one.events} events"]
    parts += [f"{one.missing} missing in {one.open_gaps} gaps"] if one.missing else []
    parts += [f"{one.explained} missing and explained"] if one.explained else []
    parts += [f"{one.reused} with a number that another had"] if one.reused else []
    parts += [f"silent since {one.silent_since:%Y-%m-%d %H:%M}Z"] if one.silent_since else []
    return ", ".join(parts) + (f". {one.not_covered}" if one.not_covered else "")


def _window(gap: Gap) -> str:
    after = f"after {gap.after_at:%Y-%m-%d %H:%M:%S}Z and " if gap.after_at else ""
    before = f"before {gap.before_at:%Y-%m-%d %H:%M:%S}Z"
    return f"made {after}{before}; {gap.missing} of {gap.last - gap.first + 1} are missing"
