"""`manage.py sealkey`: the key that signs the log."""

import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit import sealkeys, trail
from audit.errors import AuditError, KeyMissing, LogDamaged
from audit.management import operator_name
from audit.models import Checkpoint
from audit.note import NoteError, Signer
from audit.seal import Sealer


class Command(BaseCommand):
    help = "Create, rotate and list the keys of the log. Private keys are in files, never in the database."
    # Without a key the checks fail, and this is where it comes from.
    requires_system_checks = []  # noqa: RUF012

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        create = actions.add_parser("create", help="the first key of a log, at SEAL_KEY_FILE")
        create.add_argument("--origin", required=True, help="the log's name, such as audit.example.com/log")
        create.add_argument("--if-missing", action="store_true", help="do nothing where there is a key")
        actions.add_parser("rotate", help="a new key; checkpoints of the old ones still verify")
        actions.add_parser("list", help="the public keys, the newest first")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["action"] == "list":
                self._list()
            elif options["action"] == "create":
                self._create(options["origin"], if_missing=options["if_missing"], quiet=options["verbosity"] == 0)
            else:
                self._rotate()
        except (AuditError, NoteError, OSError) as error:
            raise CommandError(str(error)) from None

    def _list(self) -> None:
        keys = sealkeys.load()
        for verifier in keys.verifiers:
            signs = keys.signer is not None and keys.signer.verifier == verifier
            self.stdout.write(f"{verifier}{'  signs now' if signs else ''}")

    def _create(self, origin: str, *, if_missing: bool, quiet: bool) -> None:
        path = _file()
        if path.exists():
            if if_missing:
                return
            raise CommandError(f"{path} exists: `manage.py sealkey rotate` makes a new key for the same log.")
        signer = sealkeys.create(path, origin)
        self._record("created", signer, origin=origin)
        if quiet:
            return
        self.stdout.write(str(signer))
        self.stderr.write(f"Private key: {path}. Give the line above to auditors and witnesses, by another way.")

    def _rotate(self) -> None:
        """Record the new key under the old one's signature, then let the new one sign."""
        path = _file()
        old = sealkeys.load().signer
        if old is None:
            raise KeyMissing
        new = sealkeys.rotated(old)
        self._record("rotated", new, before=str(old))
        if _sign() is None:
            raise LogDamaged("Another sealer holds the lock for long: nothing was rotated. Try again.")
        sealkeys.replace(path, new)
        head = _sign() or "The next head"  # by the sealer that is at work, with the new key
        self.stdout.write(str(new))
        self.stderr.write(f"{head} is signed with the new key; the old one's signatures hold as before.")

    def _record(self, act: str, signer: Signer, **facts: Any) -> None:
        trail.add(f"audit.sealkey.{act}", actor=operator_name(), correlation="sealkey", public_key=str(signer), **facts)


def _file() -> Path:
    path: Path | None = settings.SEAL_KEY_FILE
    if path is None:
        raise CommandError("Set SEAL_KEY_FILE to where the private key is, or shall be.")
    return path


def _sign() -> Checkpoint | None:
    """One pass with the key of the moment, waiting for a sealer that is at work; None where that takes too long."""
    sealer = Sealer()
    for _ in range(100):
        if (head := sealer.once(sign_anyway=True).checkpoint) is not None:
            return head
        time.sleep(0.1)
    return None
