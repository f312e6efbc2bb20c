"""`manage.py receiptkey`: the key that signs receipts."""

from pathlib import Path

from django.conf import settings

from audit.errors import KeyUnknown
from audit.formats.note import AnySigner
from audit.formats.receipt import SUFFIX
from audit.ledger import keys as ledger_keys
from audit.ledger import known_keys
from audit.ledger.keys import Keys
from audit.management.keycommand import KeyCommand

SIGNS = "The new key signs from now on"


class Command(KeyCommand):
    help = "Create, rotate and list the keys of receipts. A new one is a record, and so under the log's signature."
    prefix, of, suffix = "RECEIPT", known_keys.RECEIPTS, SUFFIX

    def keys(self) -> Keys:
        return ledger_keys.receipts()

    def rotated_name(self, old: AnySigner) -> str:
        """The log may have been resumed under another name."""
        return self.key_name(None)

    def settle(self, new: AnySigner, wait_s: float) -> None:
        """Wait for the processes that have signed receipts lately."""
        look = "each process signs with it. Look at the key of a new receipt, as each answer to a writer has it."
        if left := self.left(new, wait_s, f"{SIGNS}, but", look):
            raise KeyUnknown(
                f"{SIGNS}, but these processes have signed with another since: {', '.join(left)}. "
                f"Let each see {settings.RECEIPT_KEY_FILE}, and start it again: a container has to mount the directory "
                "of keys, not the file."
            )

    def put(self, path: Path, public: Path, new: AnySigner) -> str:
        ledger_keys.replace(path, public, new)
        return "Receipts from now on are"
