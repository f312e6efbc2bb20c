"""`manage.py receiptkey`: the key that signs receipts."""

from pathlib import Path

from audit.formats.note import Signer
from audit.formats.receipt import SUFFIX
from audit.ledger import keys as ledger_keys
from audit.ledger.keys import Keys
from audit.management.keycommand import KeyCommand


class Command(KeyCommand):
    help = "Create, rotate and list the keys of receipts. A new one is a record, and so under the log's signature."
    noun, setting, origin_required = "receiptkey", "RECEIPT_KEY_FILE", False

    def keys(self) -> Keys:
        return ledger_keys.receipts()

    def key_name(self, origin: str | None) -> str:
        return (origin or ledger_keys.load().origin) + SUFFIX

    def rotated_name(self, old: Signer) -> str:
        """The log may have been resumed under another name."""
        return self.key_name(None)

    def put(self, path: Path, public: Path, new: Signer) -> str:
        ledger_keys.replace(path, public, new)
        return "Receipts from now on are"
