"""`manage.py log`: let the log of a restored store go on."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError

from audit.ledger import resume
from audit.management.harmless import HarmlessCommand, operator_name


class Command(HarmlessCommand):
    help = (
        "Let the log of a store that was restored from a backup go on, under a signed cross-link: one person asks, a "
        "second approves (on the page of the sealed log, or here), then it is carried out where the private key is."
    )
    # The sealer refuses, and much else may be amiss, when this is needed.
    requires_system_checks = []  # noqa: RUF012

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        goes_on = actions.add_parser("resume", help="ask; or, once it is approved, carry it out")
        goes_on.add_argument("--reason", help="what happened, a line of up to 500 characters")
        for name, text in (("approve", "as a second person"), ("decline", "as a second person")):
            actions.add_parser(name, help=text)
        actions.add_parser("show", help="the request that is open, and the cross-links")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['action']}")(options)
        except (DatabaseError, OSError) as error:
            raise CommandError(f"It was not done: {error}. Run it again.") from None
        except ValueError as error:
            raise CommandError(f"It was not done: {error}.") from None

    def _resume(self, options: dict[str, Any]) -> None:
        row = resume.waiting()
        if row is None:
            if not options["reason"]:
                raise CommandError("Nothing was asked: say why the log has to go on, with --reason.")
            row = resume.request(options["reason"][:500], by=operator_name())
        if row.decision != resume.APPROVED:
            self._print(row)
            self.stdout.write("A second person approves it: on the page of the sealed log, or `manage.py log approve`.")
            return
        _, signed = resume.resume()
        self.stdout.write(signed)
        self.stderr.write(
            "The log goes on. Give the cross-link and the new key (the line `continues`) to witnesses and auditors, by "
            "another way than this site. Then: `manage.py receiptkey rotate` where its key is, `manage.py verify`."
        )

    def _approve(self, options: dict[str, Any]) -> None:
        self._decide(approve=True)

    def _decline(self, options: dict[str, Any]) -> None:
        self._decide(approve=False)

    def _decide(self, *, approve: bool) -> None:
        row = resume.waiting()
        if row is None:
            raise CommandError("No request is open.")
        resume.decide(row, approve=approve, by=operator_name())
        self.stdout.write(
            "approved: `manage.py log resume` carries it out, where the private key is" if approve else "declined"
        )

    def _show(self, options: dict[str, Any]) -> None:
        if (row := resume.waiting()) is not None:
            self._print(row)
        else:
            self.stdout.write("No request is open.")
        for link in (links := resume.links()):
            self.stdout.write(link.note)
        if not links:
            self.stdout.write("No cross-link: the log goes on under the name that it began with.")

    def _print(self, row: Any) -> None:
        origin, size, _ = row.restored
        self.stdout.write(f"requested by {row.asked_by}, {row.asked_at:%Y-%m-%d %H:%M}Z: {row.reason}")
        self.stdout.write(f"restored: {size:,} leaves of {origin}")
        for known, most, _root, where in row.known:
            self.stdout.write(f"known: {most:,} leaves of {known} ({where}): {max(most - size, 0):,} are gone")
        for name in row.unasked:
            self.stdout.write(f"NOT ASKED: {name}. It may know of more.")
