"""Read a receipt of the store, a signed note (C2SP signed-note, Ed25519), by the public keys that one trusts."""

import base64
import binascii
import hashlib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from auditclient.errors import ConfigError, NotAReceipt

HEADER = "auditsite/receipt/v1"
MEMBERS = ("origin", "writer", "state", "promised", "sealed-by")
SUFFIX = "/receipts"
ED25519 = 1
EVENT = re.compile(r"([0-9a-f-]{36}) ([0-9a-f]{64})\Z", re.ASCII)


@dataclass(frozen=True)
class Key:
    """A public key with its name."""

    name: str
    id: bytes
    public: bytes

    @classmethod
    def parse(cls, text: str) -> "Key":
        """Read name+id+base64. Raises `ConfigError`."""
        try:
            name, identifier, encoded = text.split("+", 2)
            data = base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error):
            raise ConfigError("receipt_keys: a key is name+id+base64, as the operator of the store gives it") from None
        own_id = hashlib.sha256(f"{name}\n".encode() + data).digest()[:4]
        if len(data) != 33 or data[0] != ED25519 or own_id.hex() != identifier:
            raise ConfigError(f"receipt_keys: the key of {name} is damaged, or is not Ed25519")
        return cls(name, own_id, data[1:])


def keys(texts: Iterable[str]) -> list[Key]:
    """Read public keys. Raises `ConfigError`, also where nothing is installed that can use them."""
    read = [Key.parse(text) for text in texts]
    if read:
        try:
            import cryptography  # noqa: F401
        except ImportError:
            raise ConfigError("receipt_keys: install auditclient[receipts], which can verify signatures") from None
    return read


def verify(note: str, trusted: Collection[Key]) -> dict[str, str]:
    """Return the digest of each event of a receipt by its id. Raises `NotAReceipt` unless a trusted key signed it."""
    text, blank, signatures = note.rpartition("\n\n")
    text += "\n"
    header, *lines = text.removesuffix("\n").split("\n")
    members = dict(line.partition(" ")[::2] for line in lines[: len(MEMBERS)])
    if not blank or header != HEADER or tuple(members) != MEMBERS:
        raise NotAReceipt("This is no receipt.")
    name = members["origin"] + SUFFIX
    if not any(_holds(line, text, name, trusted) for line in signatures.splitlines()):
        raise NotAReceipt("No key that is trusted has signed this receipt.")
    events = [EVENT.match(line) for line in lines[len(MEMBERS) :]]
    return {match[1]: match[2] for match in events if match is not None}


def _holds(line: str, text: str, name: str, trusted: Collection[Key]) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    dash, _, rest = line.partition(" ")
    signed_by, _, encoded = rest.partition(" ")
    try:
        blob = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        return False
    for key in trusted:
        if dash == "—" and signed_by == key.name == name and blob[:4] == key.id:
            try:
                Ed25519PublicKey.from_public_bytes(key.public).verify(blob[4:], text.encode())
            except InvalidSignature:
                return False
            return True
    return False
