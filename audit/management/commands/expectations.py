"""`manage.py expectations`: the rules about events that must come, as data."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from audit.errors import AuditError, Invalid
from audit.expectations import backtest, rules
from audit.formats import expectation
from audit.formats.expectation import ExpectationRule, RulePack
from audit.ledger import reader
from audit.management import operator_name
from audit.models import Expectation

NEWEST = 100_000
WOULD_FIND = 3


class Command(BaseCommand):
    help = "List, load, dump and try the rules about events that must come."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("list", help="all rules, in words, and how they stand")
        load = actions.add_parser("load", help="make or change the rules of a file; all of them, or none")
        load.add_argument("file", type=Path)
        dump = actions.add_parser("dump", help="write rules as a file that `load` reads")
        dump.add_argument("--pack", default="", help="only those of this pack")
        check = actions.add_parser(
            "check", help=f"what rules would have found in the log; exit status {WOULD_FIND} where they would"
        )
        check.add_argument("--file", type=Path, help="the rules of this file, not those that are here")
        check.add_argument("--rule", default="", help="only this one")
        check.add_argument("--newest", type=int, default=NEWEST, help="so many records at the end of the log")

    def handle(self, *args: Any, **options: Any) -> None:
        match options["action"]:
            case "list":
                self._list()
            case "load":
                self._load(options["file"])
            case "dump":
                self._dump(options["pack"])
            case "check":
                self._check(options)

    def _list(self) -> None:
        for one in Expectation.objects.all():
            still = one.unmet.filter(closed_at=None, explained_at=None).count()
            state = "active" if one.active else f"inactive: {one.inactive_because}"
            self.stdout.write(f"{one.name}: {one.words}")
            self.stdout.write(f"  {state}; awaited {one.awaited.count()}, open {still}, met {_met(one)}")

    def _load(self, file: Path) -> None:
        try:
            loaded = rules.load(_read(file), by=operator_name())
        except AuditError as error:
            raise CommandError(f"Nothing was loaded: {error}") from None
        for name, act in loaded:
            self.stdout.write(f"{name}: {act}")

    def _dump(self, pack: str) -> None:
        found = Expectation.objects.filter(pack=pack) if pack else Expectation.objects.all()
        if pack and not found.exists():
            raise CommandError(f"There is no pack {pack!r}: `manage.py expectations list` shows all rules.")
        document = {"pack": pack or "all", "expectations": rules.dump(found)}
        self.stdout.write(json.dumps(document, indent=2, ensure_ascii=False))

    def _check(self, options: dict[str, Any]) -> None:
        rules = _read(options["file"]).expectations if options["file"] else _known()
        if options["rule"]:
            rules = [rule for rule in rules if rule.name == options["rule"]]
        if not rules:
            raise CommandError("There is no such rule: `manage.py expectations list` shows all.")
        head = reader.head("default")
        last = 0 if head is None else head.size
        first = max(last - max(options["newest"], 0), 0)
        found = [self._try(rule, first, last) for rule in rules]
        self.stdout.write(f"{last - first:,} records read, of {last:,} in the log. Nothing was kept.")
        sys.exit(WOULD_FIND if any(found) else 0)

    def _try(self, rule: ExpectationRule, first: int, last: int) -> bool:
        columns = (TextColumn(rule.name), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(rule.name, total=last - first)
            found = backtest.look(
                rule, first, last, now=datetime.now(UTC), progress=lambda done, _: bar.update(task, completed=done)
            )
        late = f", {found.late:,} late" if found.late else ""
        self.stdout.write(f"{rule.name}: {found.unmet:,} of {found.asked:,} not met{late}")
        for text in found.named:
            self.stdout.write(f"  {text}")
        if found.unmet > len(found.named):
            self.stdout.write(f"  ... and {found.unmet - len(found.named):,} more")
        return bool(found.unmet or found.late)


def _read(file: Path) -> RulePack:
    try:
        return expectation.read_pack(file.read_bytes())
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from None
    except Invalid as error:
        faults = "\n".join(f"  {where or 'the file'}: {text}" for where, text in error.errors.items())
        raise CommandError(f"{file} is no pack of expectations, so nothing was loaded:\n{faults}") from None


def _known() -> list[ExpectationRule]:
    return [one.rule for one in Expectation.objects.all()]


def _met(one: Expectation) -> str:
    return "not counted" if one.kind == "has" else str(one.met)
