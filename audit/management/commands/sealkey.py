"""`manage.py sealkey`: the key that signs the log."""

import time
from pathlib import Path

from audit.errors import LogDamaged
from audit.formats.note import Signer
from audit.ledger import keys as ledger_keys
from audit.ledger.keys import Keys
from audit.ledger.seal import Sealer
from audit.management.keycommand import KeyCommand
from audit.models import Checkpoint


class Command(KeyCommand):
    help = "Create, rotate and list the keys of the log. Private keys are in files, never in the database."
    noun, setting = "sealkey", "SEAL_KEY_FILE"

    def keys(self) -> Keys:
        return ledger_keys.load()

    def key_name(self, origin: str | None) -> str:
        return origin or ""

    def put(self, path: Path, new: Signer) -> str:
        """Seal the record of the new key under the old one, then let the new one sign."""
        if _sign() is None:
            raise LogDamaged("Another sealer holds the lock for long: nothing was rotated. Try again.")
        ledger_keys.replace(path, new)
        return f"{_sign() or 'The next head'} is"  # by the sealer that is at work, with the new key


def _sign() -> Checkpoint | None:
    """Sign a head with the current key, waiting for another sealer; None where that takes too long."""
    sealer = Sealer()
    for _ in range(100):
        if (head := sealer.once(sign_anyway=True).checkpoint) is not None:
            return head
        time.sleep(0.1)
    return None
