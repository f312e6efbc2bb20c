"""`manage.py receiptkey`: the key that signs receipts."""

from pathlib import Path

from audit import promise, sealkeys
from audit.management.keycommand import KeyCommand
from audit.note import Signer
from audit.receipt import SUFFIX
from audit.sealkeys import Keys


class Command(KeyCommand):
    help = "Create, rotate and list the keys of receipts. A new one is a record, and so under the log's signature."
    noun, setting, origin_required = "receiptkey", "RECEIPT_KEY_FILE", False

    def keys(self) -> Keys:
        return promise.keys()

    def key_name(self, origin: str | None) -> str:
        return (origin or sealkeys.load().origin) + SUFFIX

    def put(self, path: Path, new: Signer) -> str:
        sealkeys.replace(path, new)
        return "Receipts from now on are"
