"""`manage.py seal`: assign leaves to unsealed records and sign the head."""

from typing import Any

from django.core.management.base import CommandParser

from audit.health import serve_metrics
from audit.ledger import witnesses
from audit.ledger.publish import Publisher
from audit.ledger.publish import follow as run
from audit.ledger.seal import Sealer
from audit.management.harmless import HarmlessCommand
from audit.management.stopping import stop_at_signal


class Command(HarmlessCommand):
    help = "Seal what is stored: one pass over all that waits, or --follow as a service."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--follow", action="store_true", help="go on until SIGTERM, as a service")
        parser.add_argument("--sign", action="store_true", help="sign the tree head also where nothing is new")

    def handle(self, *args: Any, follow: bool, sign: bool, **options: Any) -> None:
        if not follow:
            self._one_pass(sign)
            return
        stop = stop_at_signal()
        serve_metrics()
        run(stop)

    def _one_pass(self, sign: bool) -> None:
        sealer, total = Sealer(), 0
        while (sealed := sealer.once(sign_anyway=sign and not total, from_start=True)).more:
            total += sealed.added
        if sealed.checkpoint is None:
            self.stdout.write("Another sealer is at work: nothing was done here.")
            return
        total += sealed.added
        self.stdout.write(f"{total} records sealed; {sealed.checkpoint}.")
        for complaint in Publisher().publish(sealed.checkpoint):
            self.stderr.write(complaint)
        names = [witness.verifier.name for witness in witnesses.witnesses()]
        if names:
            self.stdout.write(f"Witnesses asked: {', '.join(names)}.")
