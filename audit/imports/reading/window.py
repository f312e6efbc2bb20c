"""A window on a text that is read from its beginning to its end: what is read and not passed yet, and no more."""

import codecs
import hashlib
from typing import Any

from audit.errors import AuditError
from audit.imports.reading.opening import PART_BYTES, FileUnreadable, Source

MARK = "\ufeff"
# What an event may have at most as it comes: as much as a body of a request.
MAX_CHARACTERS = 5 * 1024 * 1024


class Broken(AuditError):
    """A file is not what its format says, and what follows cannot be read."""


class Window:
    """The text from `at` on; `offset`, `line` and `digest()` say what was passed before it.

    They are counted when somebody asks, or what was passed goes: of a thousand events once.

    What is no UTF-8 becomes lone surrogates, which no event may have, and comes out as it was where it is kept raw.
    """

    def __init__(self, source: Source, line: int = 1):
        # `line` is the number of the line at which the text begins.
        self._source = source
        self._decoder: Any = codecs.getincrementaldecoder("utf-8")(errors="surrogateescape")
        self._hash = hashlib.sha256()
        self.text, self.at = "", 0
        # So far what was passed is counted.
        self._counted = 0
        self._offset, self._line = 0, line
        self.is_whole = False  # nothing follows the text
        # What went wrong when more was read than was asked for yet.
        self._fault: FileUnreadable | None = None

    def fill(self) -> bool:
        """Read on; return whether anything came. Raises `FileUnreadable`, `Broken` where too much is held already."""
        if self._fault is not None:
            raise self._fault
        if self.is_whole:
            return False
        if len(self.text) - self.at > MAX_CHARACTERS:
            raise Broken(f"an event is longer than {MAX_CHARACTERS // 2**20} MiB, which is more than is taken")
        part = self._source.part()
        self.is_whole = not part
        self._count()
        self.text = self.text[self.at :] + self._decoder.decode(part, not part)
        self.at = self._counted = 0
        if not self._offset and self.text.startswith(MARK):
            self.pass_to(len(MARK))
        return bool(part)

    def fill_ahead(self, characters: int) -> bool:
        """Read on until so many are held, or nothing follows; return whether they are.

        What goes wrong is told once the rest is asked for.
        """
        while len(self.text) - self.at < characters and not self.is_whole and self._fault is None:
            try:
                self.fill()
            except FileUnreadable as error:
                self._fault = error
        return len(self.text) - self.at >= characters

    def pass_to(self, end: int) -> str:
        """Pass over the text to `end`, and return it."""
        passed = self.text[self.at : end]
        self.at = end
        return passed

    @property
    def offset(self) -> int:
        """How many bytes were passed."""
        self._count()
        return self._offset

    @property
    def line(self) -> int:
        """The number of the line at which the text begins."""
        self._count()
        return self._line

    def digest(self) -> str:
        """Return SHA-256 of all that was passed, in hex."""
        self._count()
        return self._hash.hexdigest()

    def _count(self) -> None:
        if self._counted < self.at:
            passed = self.text[self._counted : self.at]
            data = passed.encode("utf-8", "surrogateescape")
            self._hash.update(data)
            self._offset += len(data)
            self._line += passed.count("\n")
            self._counted = self.at

    def skip(self, offset: int, digest: str, line: int) -> bool:
        """Pass over the first `offset` bytes, unread; return whether they have this hash. If not, begin anew."""
        hashed, left = hashlib.sha256(), offset
        while left and (part := self._source.part(min(PART_BYTES, left))):
            hashed.update(part)
            left -= len(part)
        if left or hashed.hexdigest() != digest:
            return False
        self._hash, self._offset, self._line = hashed, offset, line
        return True
