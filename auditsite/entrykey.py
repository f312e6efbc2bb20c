"""The keys that entries of the queue are signed with: derived, so that no secret is used for two things.

HKDF-SHA256 (RFC 5869) without a salt, one block.
"""

import hashlib
import hmac
from collections.abc import Sequence
from pathlib import Path

INFO = b"auditsite dlq entry key 1"
KEY_CHARACTERS_MIN = 32


def entry_keys(secret_key: str, path: Path | None, fallbacks: Sequence[str] = ()) -> list[bytes]:
    """Return the key that signs, then those that only verify: of the lines of the file, or of the secret keys.

    Raises `ValueError` where the file has no key, or one that is short enough to be guessed.
    """
    if path is None:
        return [derive(secret) for secret in (secret_key, *fallbacks)]
    secrets = path.read_text(encoding="utf-8").split()
    if not secrets or any(len(secret) < KEY_CHARACTERS_MIN for secret in secrets):
        raise ValueError(
            f"DLQ_ENTRY_KEY_FILE {path}: each line must be a key of at least {KEY_CHARACTERS_MIN} characters. "
            "The first signs, the others only verify."
        )
    return [derive(secret) for secret in secrets]


def derive(secret: str) -> bytes:
    """Return 32 bytes that tell nothing of the secret."""
    extracted = hmac.digest(bytes(32), secret.encode(), hashlib.sha256)
    return hmac.digest(extracted, INFO + b"\x01", hashlib.sha256)
