"""Private keys in a file that only a passphrase opens: for a backup, where somebody asks for them.

scrypt makes the key of the passphrase; AES-256-GCM encrypts, and covers the header too.
"""

import base64
import json
import os
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from django.conf import settings

from audit.errors import BackupFailed

FORMAT = "auditsite/safe/v1"
PASSPHRASE_LEAST = 16
# 64 MiB and a fifth of a second for each guess.
COST, BLOCK, LANES = 2**16, 8, 1
NAMES = ("SEAL_KEY", "RECEIPT_KEY", "DLQ_ENTRY_KEYS", "SECRET_KEY")


def close(path: Path, passphrase_file: Path) -> list[str]:
    """Encrypt the private keys that this process has; return their names. Raises `BackupFailed` and `OSError`."""
    keys = {name: text for name in NAMES if (text := _private(name))}
    salt, nonce = os.urandom(16), os.urandom(12)
    header: dict[str, Any] = {
        "safe": FORMAT,
        "keys": sorted(keys),
        "salt": _text(salt),
        "nonce": _text(nonce),
        "scrypt": [COST, BLOCK, LANES],
    }
    secret = AESGCM(_key(passphrase_file, salt)).encrypt(nonce, json.dumps(keys).encode(), _signed(header))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(header | {"secret": _text(secret)}, file, indent=2)
    return sorted(keys)


def open_safe(path: Path, passphrase_file: Path, folder: Path) -> list[Path]:
    """Write each key of a safe into a file of the folder, which is made, readable by its owner alone; return them.

    Raises `BackupFailed` for another passphrase, a file that was changed or is none, or one that would be overwritten.
    """
    try:
        header = json.loads(path.read_text(encoding="utf-8"))
        secret, nonce, salt = (base64.b64decode(header.get(name)) for name in ("secret", "nonce", "salt"))
        del header["secret"]
        keys = json.loads(AESGCM(_key(passphrase_file, salt)).decrypt(nonce, secret, _signed(header)))
    except InvalidTag:
        raise BackupFailed(f"{path} does not open: the passphrase is another, or the file was changed.") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BackupFailed(f"{path} is no safe of this store.") from None
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    written = []
    for name, text in keys.items():
        place = folder / name.lower()
        try:
            descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise BackupFailed(f"{place} exists: nothing is overwritten.") from None
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{text}\n")
        written.append(place)
    return written


def _private(name: str) -> str:
    if name == "SECRET_KEY":
        return "\n".join([settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS])
    if name == "DLQ_ENTRY_KEYS":
        # The lines as they are: the setting holds what is derived of them. Without a file it is of SECRET_KEY.
        file = os.environ.get("DLQ_ENTRY_KEY_FILE")
        return "" if file is None else Path(file).read_text(encoding="utf-8").strip()
    path: Path | None = getattr(settings, f"{name}_FILE")
    if path is None:
        return str(getattr(settings, name))
    return path.read_text(encoding="utf-8").strip() if path.exists() else ""


def _key(passphrase_file: Path, salt: bytes) -> bytes:
    passphrase = passphrase_file.read_bytes().strip()
    if len(passphrase) < PASSPHRASE_LEAST:
        raise BackupFailed(f"The passphrase in {passphrase_file} has less than {PASSPHRASE_LEAST} characters.")
    return Scrypt(salt=salt, length=32, n=COST, r=BLOCK, p=LANES).derive(passphrase)


def _signed(header: dict[str, Any]) -> bytes:
    return json.dumps(header, sort_keys=True).encode()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
