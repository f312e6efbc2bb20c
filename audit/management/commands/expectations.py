"""`manage.py expectations`: the rules about events that must come, as data."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit.errors import AuditError, Invalid
from audit.expectations import rules
from audit.formats import expectation
from audit.formats.expectation import RulePack
from audit.management.harmless import operator_name
from audit.models import Expectation


class Command(BaseCommand):
    help = "List, load and dump the rules about events that must come."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("list", help="all rules, in words, and how they stand")
        load = actions.add_parser("load", help="make or change the rules of a file; all of them, or none")
        load.add_argument("file", type=Path)
        dump = actions.add_parser("dump", help="write rules as a file that `load` reads")
        dump.add_argument("--pack", default="", help="only those of this pack")

    def handle(self, *args: Any, **options: Any) -> None:
        {"list": self._list, "load": self._load, "dump": self._dump}[options["action"]](options)

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


def _read(file: Path) -> RulePack:
    try:
        return expectation.read_pack(file.read_bytes())
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from None
    except Invalid as error:
        faults = "\n".join(f"  {where or 'the file'}: {text}" for where, text in error.errors.items())
        raise CommandError(f"{file} is no pack of expectations, so nothing was loaded:\n{faults}") from None
