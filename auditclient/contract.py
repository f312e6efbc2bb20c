"""How an event is written into the store's dead letter queue: contract.json, the same file on both sides."""

import hashlib
import hmac
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

CONTRACT: dict[str, Any] = json.loads(Path(__file__).with_name("contract.json").read_text(encoding="utf-8"))
VERSION: str = CONTRACT["version"]
CLIENT = "auditclient/0.1.0"
_PURPOSE = b"audit dlq entry key 1"


class Signer:
    """Signs entries as the writer whose API key it is given."""

    def __init__(self, api_key: str):
        self.key_id = hashlib.sha256(api_key.encode()).hexdigest()[:16]
        self._mac_key = hmac.digest(api_key.encode(), _PURPOSE, hashlib.sha256)

    def entry(self, event: bytes) -> bytes:
        """Return the entry of an event, given as JSON."""
        parked_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        return self.sign(b'{"event":%b,"client":"%b","parked_at":"%b"}' % (event, CLIENT.encode(), parked_at.encode()))

    def sign(self, payload: bytes, version: str = VERSION) -> bytes:
        """Return the entry of a payload."""
        head = f"{version} {self.key_id}".encode()
        mac = hmac.digest(self._mac_key, head + b"\n" + payload, hashlib.sha256).hex()
        return b"%b %b\n%b" % (head, mac.encode(), payload)


def inbox_key(prefix: str) -> str:
    """Return the key of the list that entries are pushed to."""
    return str(CONTRACT["place"]["key"]).replace("PREFIX", prefix)
