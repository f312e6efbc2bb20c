"""The base of sealkey and receiptkey: create, prepare, rotate and list keys. Private keys are only in files."""

import time
from abc import ABC, abstractmethod
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any, ClassVar

import redis
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit.errors import AuditError, KeyMissing, Unavailable
from audit.formats.note import AnySigner, NoteError
from audit.ingest import trail
from audit.ledger import keys as ledger_keys
from audit.ledger import known_keys
from audit.ledger.hsm.address import Address, UnreadableUri
from audit.ledger.keys import Keys
from audit.management.harmless import operator_name

# The worker reads the keys once a minute.
WAIT_S = 180.0
PAUSE_S = 0.5


class KeyCommand(ABC, BaseCommand):
    """`prefix` is what its settings begin with, from which the names of the command and of the key's file follow."""

    prefix: ClassVar[str]
    # Of what the keys are, as processes say which they know or sign with.
    of: ClassVar[str]
    # What the name of a key has after that of the log.
    suffix: ClassVar[str] = ""
    # Whether the private key may be in a token.
    in_token: ClassVar[bool] = False
    # Without a key the checks fail, and this is where it comes from.
    requires_system_checks = []  # noqa: RUF012

    @property
    def noun(self) -> str:
        return f"{self.prefix.lower()}key"

    @property
    def setting(self) -> str:
        return f"{self.prefix}_KEY_FILE"

    @abstractmethod
    def keys(self) -> Keys:
        """Return the keys that are there."""

    def key_name(self, origin: str | None) -> str:
        """Return the name of a key of the log with this origin, or of the log that is here."""
        return (origin or ledger_keys.load().origin) + self.suffix

    def left(self, new: AnySigner, wait_s: float, is_so: str, instead: str) -> list[str]:
        """Wait until every process knows the new key; return those that do not.

        Raises `Unavailable` where Redis cannot say: it `is_so` far, and this can be done `instead`.
        """
        ends_at = time.monotonic() + wait_s
        try:
            while (ignorant := known_keys.ignorant_of(new.verifier, self.of)) and time.monotonic() < ends_at:
                time.sleep(PAUSE_S)
        except redis.RedisError as error:
            raise Unavailable(
                f"{is_so} Redis does not answer ({type(error).__name__}), and only it can say whether {instead}"
            ) from None
        return ignorant

    def confirm(self, new: AnySigner, wait_s: float) -> None:
        """Wait until every process knows the new key. Raises `AuditError` where one does not in time."""

    def settle(self, new: AnySigner, wait_s: float) -> None:
        """Wait until every process signs with the new key. Raises `AuditError` where one does not in time."""

    @abstractmethod
    def put(self, path: Path, public: Path, new: AnySigner) -> str:
        """Let a rotated key, recorded already, sign from now on; return what it signed."""

    def rotated_name(self, old: AnySigner) -> str:
        """Return the name of the key that follows this one."""
        return old.name

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        create = actions.add_parser("create", help=f"the first key, at {self.setting}")
        create.add_argument("--origin", required=not self.suffix, help="the log's name, such as audit.example.com/log")
        create.add_argument("--if-missing", action="store_true", help="do nothing where there is a key")
        prepare = actions.add_parser(
            "prepare", help="publish the public half of the next key, for witnesses; rotate goes on with it"
        )
        rotate = actions.add_parser("rotate", help="a new key; what the old ones signed still verifies")
        rotate.add_argument(
            "--wait", type=float, default=WAIT_S, metavar="SECONDS", help="for every process to know the new key"
        )
        actions.add_parser("list", help="the public keys, the newest first")
        for action in (create, prepare, rotate) if self.in_token else ():
            action.add_argument(
                "--pkcs11",
                type=_address,
                metavar="URI",
                help="the key is in a token, and made there where there is none: "
                "pkcs11:token=LABEL;object=LABEL?module-path=FILE&pin-source=FILE",
            )

    def handle(self, *args: Any, **options: Any) -> None:
        token: Address | None = options.get("pkcs11")
        try:
            if options["action"] == "list":
                self._list()
            elif options["action"] == "create":
                is_quiet = options["verbosity"] == 0
                self._create(options["origin"], token, if_missing=options["if_missing"], quiet=is_quiet)
            elif options["action"] == "prepare":
                self._prepare(token)
            else:
                self._rotate(options["wait"], token)
        except (AuditError, NoteError, OSError) as error:
            raise CommandError(str(error)) from None
        finally:
            known_keys.withdraw()

    def _list(self) -> None:
        keys = self.keys()
        for verifier in keys.verifiers:
            signs = keys.signer is not None and keys.signer.verifier == verifier
            self.stdout.write(f"{verifier}{'  signs now' if signs else ''}")

    def _create(self, origin: str | None, token: Address | None, *, if_missing: bool, quiet: bool) -> None:
        path = self._file()
        if path.exists():
            if if_missing:
                return
            raise CommandError(f"{path} exists: `manage.py {self.noun} rotate` makes a new key for the same log.")
        signer = ledger_keys.create(path, self._public_file(path), self.key_name(origin), token)
        self._record("created", signer, origin=signer.name)
        if quiet:
            return
        self.stdout.write(str(signer))
        where = path if token is None else f"in the token; {path} says where"
        self.stderr.write(f"Private key: {where}. Give the line above to auditors and witnesses, by another way.")

    def _rotate(self, wait_s: float, token: Address | None) -> None:
        """Publish the new key's public half, wait until every process knows it, record it, and let it sign."""
        old, new = self._next(token)
        path = self._file()
        new.sign(ledger_keys.TRIAL)  # a token that does not sign is found before anything hangs on it
        self.confirm(new, wait_s)
        self._record("rotated", new, before=str(old))
        signed = self.put(path, self._public_file(path), new)
        self.stdout.write(str(new))
        self.stderr.write(f"{signed} signed with the new key; the old one's signatures hold as before.")
        self.settle(new, wait_s)

    def _prepare(self, token: Address | None) -> None:
        _, new = self._next(token)
        self.stdout.write(str(new))
        self.stderr.write(
            "It is published, and signs nothing yet. Give it to witnesses and auditors; then "
            f"`manage.py {self.noun} rotate`."
        )

    def _next(self, token: Address | None) -> tuple[AnySigner, AnySigner]:
        """Return the key that signs and the one that is to follow it, whose public half is published."""
        path, old = self._file(), self.keys().signer
        if old is None:
            raise KeyMissing
        return old, ledger_keys.prepare(path, self._public_file(path), old, self.rotated_name(old), token)

    def _record(self, act: str, signer: AnySigner, **facts: Any) -> None:
        actor = operator_name()
        trail.add(f"audit.{self.noun}.{act}", actor=actor, correlation=self.noun, public_key=str(signer), **facts)

    def _public_file(self, path: Path) -> Path:
        public: Path | None = getattr(settings, self.setting.replace("_KEY_FILE", "_PUBLIC_KEYS_FILE"))
        return ledger_keys.public_path(path) if public is None else public

    def _file(self) -> Path:
        path: Path | None = getattr(settings, self.setting)
        if path is None:
            raise CommandError(f"Set {self.setting} to where the private key is, or shall be.")
        return path


def _address(text: str) -> Address:
    try:
        return Address.parse(text)
    except UnreadableUri as error:
        raise ArgumentTypeError(f"cannot be read: {error}") from None
