"""A window on a text that is read from its beginning to its end: what is read and not passed yet, and no more."""

import codecs
import hashlib
from typing import Any

from audit.errors import AuditError
from audit.imports.reading.opening import PART_BYTES, Source

MARK = "\ufeff"
# What an event may have at most as it comes: as much as a body of a request.
MAX_CHARACTERS = 5 * 1024 * 1024


class Broken(AuditError):
    """A file is not what its format says, and what follows cannot be read."""


class Window:
    """The text from `at` on; `offset`, `line` and `digest` say what was passed before it.

    What is no UTF-8 becomes lone surrogates, which no event may have, and comes out as it was where it is kept raw.
    """

    def __init__(self, source: Source):
        self._source = source
        self._decoder: Any = codecs.getincrementaldecoder("utf-8")(errors="surrogateescape")
        self._hash = hashlib.sha256()
        self.text, self.at = "", 0
        self.offset, self.line = 0, 1
        self.is_whole = False  # nothing follows the text

    def fill(self) -> bool:
        """Read on; return whether anything came. Raises `FileUnreadable`, `Broken` where too much is held already."""
        if self.is_whole:
            return False
        if len(self.text) - self.at > MAX_CHARACTERS:
            raise Broken(f"an event is longer than {MAX_CHARACTERS // 2**20} MiB, which is more than is taken")
        part = self._source.part()
        self.is_whole = not part
        self.text = self.text[self.at :] + self._decoder.decode(part, not part)
        self.at = 0
        if not self.offset and self.text.startswith(MARK):
            self.pass_to(len(MARK))
        return bool(part)

    def pass_to(self, end: int) -> str:
        """Pass over the text to `end`, and return it."""
        passed = self.text[self.at : end]
        data = passed.encode("utf-8", "surrogateescape")
        self._hash.update(data)
        self.offset += len(data)
        self.line += passed.count("\n")
        self.at = end
        return passed

    def digest(self) -> str:
        """Return SHA-256 of all that was passed, in hex."""
        return self._hash.hexdigest()

    def skip(self, offset: int, digest: str, line: int) -> bool:
        """Pass over the first `offset` bytes, unread; return whether they have this hash. If not, begin anew."""
        hashed, left = hashlib.sha256(), offset
        while left and (part := self._source.part(min(PART_BYTES, left))):
            hashed.update(part)
            left -= len(part)
        if left or hashed.hexdigest() != digest:
            return False
        self._hash, self.offset, self.line = hashed, offset, line
        return True
