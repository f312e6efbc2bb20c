"""What stands beside an event for a member of it that can be erased."""

import hashlib
from typing import NamedTuple


class Kept(NamedTuple):
    """What stands beside an event for one of its paths."""

    salt: bytes
    value: bytes  # RFC 8785

    @property
    def commitment(self) -> str:
        return hashlib.sha256(self.salt + self.value).hexdigest()
