"""`manage.py keys`: every key and password of the installation, by its public half or a fingerprint, nothing secret."""

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from cryptography import x509
from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.db.models import Q
from django.utils import timezone
from rich.console import Console
from rich.table import Table

import dlq.errors
import dlq.stream
from audit.errors import KeyMissing
from audit.ledger import keys as ledger_keys
from audit.ledger import witnesses
from audit.ledger.keys import Keys
from audit.management.harmless import HarmlessCommand
from audit.models import WriterKey
from dlq import authenticity
from dlq.message import read

OF_POSTGRES = tuple(f"DATABASE_{whose}URL" for whose in ("", "OWNER_", "READER_", "REPLICA_", "BACKUP_"))
ADDRESSES = (*OF_POSTGRES, "REDIS_URL", "CACHE_URL", "QUEUE_URL", "DLQ_ALERT_WEBHOOK", "EMAIL_URL")
UNUSED = timedelta(days=90)
LINE = 1_000


class Row(NamedTuple):
    """One key: of what, which, what it does, since when, and what comes next, if anything."""

    of: str
    id: str
    does: str
    since: str = ""
    next: str = ""


class Command(HarmlessCommand):
    help = "List every key and password: which one, what it does, since when, what comes next. Nothing secret is shown."
    requires_system_checks = []  # noqa: RUF012  # where a key is wrong, this is where one looks

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--queue", action="store_true", help="read the whole queue: how many entries each of its keys has signed"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        table = Table("of", "which", "does", "since", "next", box=None, pad_edge=False)
        for row in _rows(whole_queue=options["queue"]):
            table.add_row(*row)
        # Into a file or another program each key stands in one line.
        width = max(shutil.get_terminal_size().columns, 100) if self.stdout.isatty() else LINE
        text = StringIO()
        Console(file=text, width=width, highlight=False, markup=False).print(table)
        self.stdout.write(text.getvalue(), ending="")


def _rows(*, whole_queue: bool) -> Iterator[Row]:
    yield from _signing("the log", "SEAL", ledger_keys.load)
    yield from _signing("receipts", "RECEIPT", ledger_keys.receipts)
    yield from _of_queue(whole_queue)
    yield from _secret_keys()
    yield from _of_writers()
    yield from _of_witnesses()
    yield from _certificate()
    for name in ADDRESSES:
        if address := os.environ.get(name):
            parts = urlsplit(address)
            yield Row(name, f"{parts.username or 'no user'} at {parts.hostname or 'a socket'}", "logs in", _age(name))


def _signing(of: str, prefix: str, load: Any) -> Iterator[Row]:
    try:
        keys: Keys = load()
    except KeyMissing as error:
        yield Row(of, "none", "", "", str(error))
        return
    since = _of_file(getattr(settings, f"{prefix}_KEY_FILE"))
    signs = None if keys.signer is None else keys.signer.verifier
    for place, verifier in enumerate(keys.verifiers):
        if verifier == signs or (signs is None and place == 0):
            does = "signs" if keys.signer is None or keys.signer.is_at_hand else "signs, in a token"
            yield Row(of, f"{verifier.name}+{verifier.id.hex()}", does, since)
        elif place == len(keys.verifiers) - 1 and _is_prepared(prefix):
            command = f"manage.py {prefix.lower()}key rotate"
            yield Row(of, f"{verifier.name}+{verifier.id.hex()}", "signs nothing yet", "", command)
        else:
            yield Row(of, f"{verifier.name}+{verifier.id.hex()}", "verifies what it signed")


def _is_prepared(prefix: str) -> bool:
    path: Path | None = getattr(settings, f"{prefix}_KEY_FILE")
    return path is not None and path.with_name(path.name + ".next").exists()


def _of_queue(whole: bool) -> Iterator[Row]:
    keys = [settings.DLQ_ENTRY_KEY, *settings.DLQ_ENTRY_OLD_KEYS]
    from_file = "DLQ_ENTRY_KEY_FILE" in os.environ
    signed = _signed_by(keys) if whole else None
    for place, key in enumerate(keys):
        does = "signs what is parked" if place == 0 else "verifies what it signed"
        following = ""
        if place and signed is not None:
            following = f"{signed[place]:,} entries wait" if signed[place] else "no entry waits: see docs/rotation.md"
        source = "DLQ_ENTRY_KEY_FILE" if from_file else "SECRET_KEY"
        yield Row(f"the queue, of {source}", _fingerprint(key), does, _age("DLQ_ENTRY_KEY"), following)
    if signed is not None and signed[len(keys)]:
        yield Row(
            "the queue", "none of these", "", "", f"{signed[len(keys)]:,} entries are signed by no key known here"
        )


def _signed_by(keys: list[bytes]) -> Counter[int]:
    """How many entries of the queue each key has signed, by its place; after the last, those that none has."""
    found: Counter[int] = Counter()
    try:
        for portion in dlq.stream.for_drain().pages.entries():
            for entry in portion:
                place = authenticity.signed_by(read(*entry, "waiting", None, (None, None), 0), keys)
                found[len(keys) if place is None else place] += 1
    except dlq.errors.Refused as error:
        raise CommandError(f"Redis does not answer ({error}): the queue was not read.") from None
    return found


def _secret_keys() -> Iterator[Row]:
    yield Row("SECRET_KEY", _fingerprint(settings.SECRET_KEY.encode()), "signs sessions and forms", _age("SECRET_KEY"))
    for key in settings.SECRET_KEY_FALLBACKS:
        yield Row("SECRET_KEY", _fingerprint(key.encode()), "verifies what it signed")


def _of_writers() -> Iterator[Row]:
    now = timezone.now()
    valid = WriterKey.objects.filter(Q(expires_at=None) | Q(expires_at__gt=now), revoked_at=None, subject="")
    for key in valid.select_related("writer").order_by("writer__name", "created_at"):
        following = "" if key.expires_at is None else f"stops at {key.expires_at:%Y-%m-%d %H:%M}Z"
        if not following and (key.used_at or key.created_at) < now - UNUSED:
            following = f"not used for {UNUSED.days} days: manage.py writer revoke"
        yield Row(f"writer {key.writer.name}", f"{key.prefix}…", "sends", f"{key.created_at:%Y-%m-%d}", following)


def _of_witnesses() -> Iterator[Row]:
    asked = [witness.verifier for witness in witnesses.witnesses()]
    for verifier in witnesses.verifiers():
        does = "cosigns" if verifier in asked else "verifies what it cosigned"
        yield Row("a witness", f"{verifier.name}+{verifier.id.hex()}", does)


def _certificate() -> Iterator[Row]:
    path: Path | None = settings.EXPORT_CERTIFICATE_FILE
    if path is not None:
        found = x509.load_pem_x509_certificate(path.read_bytes())
        ends = f"ends at {found.not_valid_after_utc:%Y-%m-%d}"
        yield Row("GET export", f"{found.serial_number:x}"[:16], "signs exports", _of_file(path), ends)


def _fingerprint(key: bytes) -> str:
    """As the manifest of a backup names the key of the queue."""
    return hashlib.sha256(b"fingerprint of " + key).hexdigest()[:16]


def _age(name: str) -> str:
    path = os.environ.get(f"{name}_FILE")
    return "" if path is None else _of_file(Path(path))


def _of_file(path: Path | None) -> str:
    """When a file was written last; nothing where there is none."""
    if path is None or not path.exists():
        return ""
    return f"{datetime.fromtimestamp(path.stat().st_mtime, UTC):%Y-%m-%d}"
