"""`manage.py purge`: plan the removal of what is due, show it, and run it once a second person has approved it."""

import sys
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser

from audit.formats import times
from audit.management.counting import counted
from audit.management.harmless import HarmlessCommand, operator_name
from audit.models import RetentionRequest
from audit.postgres import sql
from audit.retention import archived, purge
from audit.retention.purge import Count

UNFINISHED = 4


class Command(HarmlessCommand):
    help = (
        "plan: count what is due, and request its removal with --reason. show: a plan, and how far it has come. run: "
        f"remove what an approved plan allows, and certify it. Exit status of run: 0 ended, {UNFINISHED} there is more."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True)
        plan = acts.add_parser("plan", help="count what is due; with --reason request its removal")
        plan.add_argument("--due", help="what is due at this time (default: now), such as 2026-01-01")
        plan.add_argument("--reason", help="why it is to go: without it nothing is requested")
        plan.add_argument(
            "--without-archive", default="", metavar="REASON", help="why no archive has to hold what goes (recorded)"
        )
        show = acts.add_parser("show", help="a plan, what was decided, and how far it has come")
        show.add_argument("plan", type=int, nargs="?", help="its number (default: all plans)")
        show.add_argument(
            "--ranges", action="store_true", help="print all ranges of leaves that it removed, and no more"
        )
        show.add_argument("--certificate", action="store_true", help="print its certificate, and no more")
        run = acts.add_parser("run", help="remove what an approved plan allows")
        run.add_argument("plan", type=int)
        run.add_argument("--seconds", type=float, help="stop after so long: the next run goes on")

    def handle(self, *args: Any, **options: Any) -> None:
        {"plan": self._plan, "show": self._show, "run": self._run}[options["act"]](options)

    def _plan(self, options: dict[str, Any]) -> None:
        cut = _time(options["due"])
        if not options["reason"]:
            self._print(purge.count(cut, seconds=purge.PATIENT_S).counts)
            self.stdout.write("Nothing is requested: give a --reason for that.")
            return
        given = {name: options[name] for name in ("reason", "without_archive")}
        plan = purge.ask(cut, **given, by=operator_name(), seconds=purge.PATIENT_S)
        self._print(Count(**count) for count in plan.counts or ())
        self.stdout.write(f"Purge {plan.pk} is requested: a second person approves it in the admin, under Retention.")
        self._archives(plan)

    def _show(self, options: dict[str, Any]) -> None:
        if options["plan"] is None:
            for plan in RetentionRequest.objects.filter(kind="purge").select_related("decision", "run"):
                self.stdout.write(_line(plan))
            return
        plan = _get(options["plan"])
        certificate = purge.certificate(plan)
        if options["ranges"]:
            self.stdout.write("".join(f"{first} {last}\n" for first, last in purge.removed_ranges(plan)), ending="")
            return
        if options["certificate"]:
            if certificate is None:
                raise CommandError(f"Purge {plan.pk} has no certificate: it is not ended. Run it to its end.")
            self.stdout.write(certificate.event_data["note"], ending="")
            return
        self.stdout.write(_line(plan))
        self._print(Count(**count) for count in plan.counts or ())
        self._archives(plan)
        if certificate is not None:
            self.stdout.write(f"Its certificate is the record {certificate.pk}: --certificate prints it.")

    def _archives(self, plan: RetentionRequest) -> None:
        """Say which archives hold what goes, and what none holds."""
        if plan.without_archive:
            self.stdout.write(f"No archive is needed: {plan.without_archive}")
            return
        assert plan.first is not None and plan.size is not None
        for held in archived.holding(plan.first, plan.size):
            leaves = f"the leaves {held.first:,} to {held.last - 1:,}"
            self.stdout.write(f"The archive {held.id} holds {leaves}, checked {held.checked_at:%Y-%m-%d %H:%M}Z.")
        for first, last in archived.lacking(plan)[: archived.MOST_NAMED]:
            self.stdout.write(f"No archive holds the leaves {first:,} to {last - 1:,}: nothing goes before one does.")

    def _run(self, options: dict[str, Any]) -> None:
        with counted("leaves") as show:
            done = purge.run(_get(options["plan"]), by=operator_name(), seconds=options["seconds"], progress=show)
        self.stdout.write(_line(_get(options["plan"])))
        sys.exit(0 if done.ended_at else UNFINISHED)

    def _print(self, counts: Iterable[Count]) -> None:
        due = held = 0
        for count in counts:
            self.stdout.write(f"{count.month}  {count.category:50} {count.due:>12,} due {count.held:>12,} held")
            due, held = due + count.due, held + count.held
        self.stdout.write(f"{due:,} records are due, {held:,} more are held.")


def _time(text: str | None) -> datetime:
    try:
        return sql.now() if text is None else times.read_time(text)
    except ValueError as error:
        raise CommandError(f"--due: {text!r} {error}") from None


def _get(number: int) -> RetentionRequest:
    plan = RetentionRequest.objects.filter(kind="purge", pk=number).select_related("decision", "run").first()
    if plan is None:
        raise CommandError(f"There is no purge {number}: see `manage.py purge show`.")
    return plan


def _line(plan: RetentionRequest) -> str:
    decided = f"{plan.decided.decision} by {plan.decided.decided_by}" if plan.decided else "waiting for approval"
    run = getattr(plan, "run", None)
    came = "" if run is None else f", {run.purged:,} removed, {'ended' if run.ended_at else f'at {run.position:,}'}"
    assert plan.cut is not None
    return f"purge {plan.pk}: due {plan.cut:%Y-%m-%d %H:%M}Z, requested by {plan.asked_by}, {decided}{came}"
