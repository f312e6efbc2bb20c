"""`manage.py sealkey`: the key that signs the log."""

import time
from pathlib import Path

from django.conf import settings

from audit.errors import KeyUnknown, LogDamaged
from audit.formats.note import AnySigner
from audit.ledger import keys as ledger_keys
from audit.ledger import known_keys
from audit.ledger.keys import Keys
from audit.ledger.seal import Sealer
from audit.management.keycommand import KeyCommand
from audit.models import Checkpoint


class Command(KeyCommand):
    help = "Create, rotate and list the keys of the log. Private keys are in files, never in the database."
    prefix, of, in_token = "SEAL", known_keys.LOG, True

    def keys(self) -> Keys:
        return ledger_keys.load()

    def confirm(self, new: AnySigner, wait_s: float) -> None:
        """Wait for the processes that have read keys lately. The new key is published, and signs nothing yet."""
        ledger_keys.load()  # this process knows it from here on
        again = "every process knows the new key. Run this again: it goes on with the same key."
        if ignorant := self.left(new, wait_s, "Nothing was rotated:", again):
            raise KeyUnknown(_unconfirmed(ignorant))

    def put(self, path: Path, public: Path, new: AnySigner) -> str:
        """Seal the record of the new key under the old one, then let the new one sign."""
        if _sign() is None:
            raise LogDamaged("Another sealer holds the lock for long: nothing was rotated. Try again.")
        ledger_keys.replace(path, public, new)
        return f"{_sign() or 'The next head'} is"  # by the sealer that is at work, with the new key


def _unconfirmed(processes: list[str]) -> str:
    return (
        f"Nothing was rotated: these processes do not know the new public key yet: {', '.join(processes)}. "
        f"Let each see {settings.SEAL_PUBLIC_KEYS_FILE or 'the new line'}: a container has to mount the directory of "
        "keys, not the file. Then run this again: it goes on with the same key."
    )


def _sign() -> Checkpoint | None:
    """Sign a head with the current key, waiting for another sealer; None where that takes too long."""
    sealer = Sealer()
    for _ in range(100):
        if (head := sealer.once(sign_anyway=True).checkpoint) is not None:
            return head
        time.sleep(0.1)
    return None
