"""`manage.py witness`: run a witness for somebody else's log, with a key and state of its own."""

import signal
import threading
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from audit.errors import KeyMissing
from audit.formats.note import NoteError, Verifier
from audit.ledger import keys
from audit.ledger.witness_server import Witness, serve
from audit.management.harmless import HarmlessCommand


class Command(HarmlessCommand):
    help = "Run a witness: it cosigns what continues the log that it has seen. Best run by somebody else."
    requires_system_checks = []  # noqa: RUF012  # it needs neither PostgreSQL nor Redis

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--state", type=Path, required=True, help="the folder of its key and of what it has seen")
        parser.add_argument("--name", default="witness.local", help="its name, where a key is to be made")
        parser.add_argument("--listen", default="127.0.0.1:8391", metavar="HOST:PORT")
        parser.add_argument("--log", action="append", default=[], metavar="KEY", help="a log's public key (repeatable)")
        parser.add_argument("--show-key", action="store_true", help="print its public key and end")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            logs = [Verifier.parse(text) for text in options["log"]] or list(keys.load().verifiers)
            witness = Witness.create(options["state"], options["name"], logs)
        except (KeyMissing, NoteError, OSError) as error:
            raise CommandError(str(error)) from None
        if options["show_key"]:
            self.stdout.write(str(witness.verifier))
            return
        host, _, port = options["listen"].rpartition(":")
        try:
            server = serve(witness, host, int(port))
        except (OSError, ValueError, OverflowError) as error:
            raise CommandError(f"Cannot listen on {options['listen']}: {error}") from None
        self.stdout.write(f"SEAL_WITNESSES=http://{host}:{server.server_port}={witness.verifier}")
        self.stdout.flush()
        for number in (signal.SIGTERM, signal.SIGINT):
            # From another thread: shutdown() waits for the loop that this thread runs.
            signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
        server.serve_forever()
        server.server_close()
