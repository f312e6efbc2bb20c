"""What an auditor has: verify.py as it is given away, and keys of his own choice."""

import base64
import hashlib
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FILE = Path(__file__).parent.parent / "verify.py"


DATA = Path(__file__).parent / "data"
VECTORS = json.loads((DATA / "jcs.json").read_text(encoding="utf-8"))["cases"]
# Records with members that can be erased, and what is wrong with each.
ERASABLE = json.loads((DATA / "erasable.json").read_text(encoding="utf-8"))


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("verify_file", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["verify_file"] = module
    spec.loader.exec_module(module)
    return module


verify = load()


class Notary:
    """A key that signs, made from a number."""

    def __init__(self, name: str, number: int):
        self.name = name
        self._key = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
        self._public = self._key.public_key().public_bytes_raw()

    def vkey(self, kind: int = 1) -> str:
        encoded = base64.b64encode(bytes([kind]) + self._public).decode()
        return f"{self.name}+{self._id(kind).hex()}+{encoded}"

    def sign(self, text: str) -> str:
        return self._line(self._id(1) + self._key.sign(text.encode()))

    def cosign(self, text: str, moment: int) -> str:
        signature = self._key.sign(f"cosignature/v1\ntime {moment}\n{text}".encode())
        return self._line(self._id(4) + moment.to_bytes(8, "big") + signature)

    def _id(self, kind: int) -> bytes:
        return hashlib.sha256(f"{self.name}\n".encode() + bytes([kind]) + self._public).digest()[:4]

    def _line(self, blob: bytes) -> str:
        return f"— {self.name} {base64.b64encode(blob).decode()}\n"


W1, W2 = Notary("w1.example", 3), Notary("w2.example", 4)


def parts(printed: str) -> dict[str, str]:
    """What verify.py printed under each of its headings, by the first word of the heading: Checked, Stated."""
    found: dict[str, str] = {}
    heading = ""
    for line in printed.splitlines():
        if line.startswith("  "):
            found[heading] += f"{line.removeprefix('  ')}\n"
        else:
            heading = line.partition(" ")[0]
            found[heading] = ""
    return found
