"""A receipt counts where a key that is trusted has signed it, and nowhere else."""

import base64
import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from auditclient import NotAReceipt, kept_files, receipts

NAME = "audit.example.com/log/receipts"
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = b"\x01" + PRIVATE.public_key().public_bytes_raw()
ID = hashlib.sha256(f"{NAME}\n".encode() + PUBLIC).digest()[:4]
KEY = f"{NAME}+{ID.hex()}+{base64.b64encode(PUBLIC).decode()}"
TEXT = f"""auditsite/receipt/v1
origin audit.example.com/log
writer payments
state stored
promised 2026-08-18T10:00:00.000Z
sealed-by 2026-08-18T10:01:00.000Z
0198bcf2-7e5c-7d3e-9a54-1c2f6b0e4d11 {"5f" * 32}
"""
NOTE = f"{TEXT}\n— {NAME} {base64.b64encode(ID + PRIVATE.sign(TEXT.encode())).decode()}\n"


def test_what_a_trusted_key_signed_names_its_events() -> None:
    assert receipts.verify(NOTE, receipts.keys([KEY])) == {"0198bcf2-7e5c-7d3e-9a54-1c2f6b0e4d11": "5f" * 32}


@pytest.mark.parametrize(
    "note",
    [
        "",
        "x",
        TEXT,
        NOTE.replace("stored", "parked"),
        NOTE.replace("5f5f", "5e5f"),
        NOTE.replace(f"— {NAME}", "— other"),
    ],
)
def test_what_it_did_not_sign_is_no_receipt(note: str) -> None:
    with pytest.raises(NotAReceipt):
        receipts.verify(note, receipts.keys([KEY]))


def test_receipts_are_kept_one_after_the_other(tmp_path: Path) -> None:
    for note in (NOTE, NOTE.replace("payments", "orders")):
        kept_files.keep_receipt(tmp_path, note)
    assert [*kept_files.receipts(tmp_path)] == [NOTE, NOTE.replace("payments", "orders")]
