"""`manage.py schema`: JSON Schemas of event types."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from audit.management.harmless import HarmlessCommand, operator_name
from audit.models import EventSchema
from audit.schemas.register import holding, register


class Command(HarmlessCommand):
    help = "Register and list JSON Schemas that event_data of an event type has to fit."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        adding = actions.add_parser("register", help="another revision; it holds within ten seconds")
        adding.add_argument("file", type=Path, metavar="FILE")
        adding.add_argument("--type", dest="event_type", required=True, metavar="TYPE")
        adding.add_argument("--for-version", default="", metavar="VERSION", help="only events with this version")
        adding.add_argument("--mode", choices=EventSchema.MODES, default="warn")
        adding.add_argument("--reason", required=True, metavar="TEXT")
        actions.add_parser("list", help="the newest revision of each type, and its mode")
        showing = actions.add_parser("show", help="write the schema that holds of a type")
        showing.add_argument("event_type", metavar="TYPE")
        showing.add_argument("--for-version", default="", metavar="VERSION")

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, f"_{options['action']}")(options)

    def _register(self, options: dict[str, Any]) -> None:
        try:
            text = options["file"].read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{options['file']} cannot be read: {error}") from None
        given = {"mode": options["mode"], "reason": options["reason"], "by": operator_name()}
        row = register(text, options["event_type"], options["for_version"], **given)
        self.stdout.write(f"{row}: {row.mode}")

    def _list(self, options: dict[str, Any]) -> None:
        rows = holding()
        if not rows:
            self.stdout.write("No schema is registered: every valid event is taken.")
        for row in rows:
            self.stdout.write(f"{row}: {row.mode}, by {row.made_by} {row.made_at:%Y-%m-%d %H:%M}Z: {row.reason}")

    def _show(self, options: dict[str, Any]) -> None:
        wanted = (options["event_type"], options["for_version"])
        row = next((each for each in holding() if (each.event_type, each.event_version) == wanted), None)
        if row is None:
            raise CommandError(f"No schema of {' '.join(wanted).strip()} was registered: `manage.py schema list`.")
        self.stdout.write(json.dumps(row.document, indent=2, ensure_ascii=False))
