"""A foreign event as it was read: what `take` takes."""

import json
from typing import Any, NamedTuple

from audit.formats.canonical import Unreadable


class Item(NamedTuple):
    """A foreign event, and where it stood: `line 7`, `event 3`."""

    place: str
    original: Any
    # As it came; "" where it came as a part of something else.
    text: str = ""

    def as_it_came(self) -> bytes:
        text = self.text
        if not text:
            is_none = isinstance(self.original, Unreadable)
            text = self.original.text if is_none else json.dumps(self.original, ensure_ascii=False)
        try:
            return text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            return text.encode("utf-8", "backslashreplace")
