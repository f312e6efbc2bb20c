"""`manage.py expectations`: the rules about events that must come, as data."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit.errors import AuditError, Invalid
from audit.expectations import backtest, rules
from audit.formats import expectation
from audit.formats.expectation import ExpectationRule, RulePack
from audit.ledger import reader
from audit.management import operator_name
from audit.management.counting import counted
from audit.models import Expectation

NEWEST_RECORDS = 100_000
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
        check.add_argument("--newest", type=int, default=NEWEST_RECORDS, help="so many records at the end of the log")

    def handle(self, *args: Any, **options: Any) -> None:
        {"list": self._list, "load": self._load, "dump": self._dump, "check": self._check}[options["action"]](options)

    def _list(self, options: dict[str, Any]) -> None:
        for row in Expectation.objects.all():
            unmet = row.unmet.filter(closed_at=None, explained_at=None).count()
            state = "active" if row.active else f"inactive: {row.inactive_because}"
            met = "not counted" if row.kind == "has" else row.met
            self.stdout.write(f"{row.name}: {row.words}")
            self.stdout.write(f"  {state}; awaited {row.awaited.count()}, open {unmet}, met {met}")

    def _load(self, options: dict[str, Any]) -> None:
        try:
            loaded = rules.load(_read(options["file"]), by=operator_name())
        except AuditError as error:
            raise CommandError(f"Nothing was loaded: {error}") from None
        for name, act in loaded:
            self.stdout.write(f"{name}: {act}")

    def _dump(self, options: dict[str, Any]) -> None:
        pack = options["pack"]
        rows = Expectation.objects.filter(pack=pack) if pack else Expectation.objects.all()
        if pack and not rows.exists():
            raise CommandError(f"There is no pack {pack!r}: `manage.py expectations list` shows all rules.")
        document = {"pack": pack or "all", "expectations": rules.dump(rows)}
        self.stdout.write(json.dumps(document, indent=2, ensure_ascii=False))

    def _check(self, options: dict[str, Any]) -> None:
        file, name = options["file"], options["rule"]
        candidates = _read(file).expectations if file else [row.rule for row in Expectation.objects.all()]
        candidates = [rule for rule in candidates if name in ("", rule.name)]
        if not candidates:
            raise CommandError("There is no such rule: `manage.py expectations list` shows all.")
        last = reader.signed_size("default")
        first = max(last - max(options["newest"], 0), 0)
        would_find = [self._backtest(rule, first, last) for rule in candidates]
        self.stdout.write(f"{last - first:,} records read, of {last:,} in the log. Nothing was kept.")
        sys.exit(WOULD_FIND if any(would_find) else 0)

    def _backtest(self, rule: ExpectationRule, first: int, last: int) -> bool:
        with counted(rule.name, transient=True) as show:
            result = backtest.run(rule, first, last, now=datetime.now(UTC), progress=show)
        late = f", {result.late:,} late" if result.late else ""
        self.stdout.write(f"{rule.name}: {result.unmet:,} of {result.asked:,} not met{late}")
        for text in result.named:
            self.stdout.write(f"  {text}")
        if result.unmet > len(result.named):
            self.stdout.write(f"  ... and {result.unmet - len(result.named):,} more")
        return bool(result.unmet or result.late)


def _read(file: Path) -> RulePack:
    try:
        return expectation.read_pack(file.read_bytes())
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from None
    except Invalid as error:
        faults = "\n".join(f"  {where or 'the file'}: {text}" for where, text in error.errors.items())
        raise CommandError(f"{file} is no pack of expectations, so nothing was loaded:\n{faults}") from None
