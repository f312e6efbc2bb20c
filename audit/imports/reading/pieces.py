"""Many events at once, cut out of a text unread: whoever is given them parses them.

Only what is sure to be whole is cut out. Where nothing is, each event is read by itself.
"""

import re
from collections.abc import Collection, Iterator
from itertools import islice
from typing import Annotated, Any, NamedTuple

import msgspec

from audit.imports.reading.window import MARK, Window

# So much is looked at for the first piece; for the others as much as the one before tells, to this bound.
FIRST_CHARACTERS, MOST_CHARACTERS = 1024 * 1024, 2 * 1024 * 1024
# A little more than what events had before, so that the next ones are enough.
MARGIN = 1.03
# So many braces are looked at from behind for one that ends an event; so many of those that may are tried.
BRACES, TRIED = 64, 8
_ESCAPED = re.compile(r'["\\\x00-\x1f]')
_FOLLOWED = re.compile(r"[ \t\n\r]*(?:,[ \t\n\r]*\{|\])")
_NEXT = re.compile(rb"[ \t\n\r]*,[ \t\n\r]*(?=\{)")
_values = msgspec.json.Decoder(list[msgspec.Raw]).decode
_FAULTS = (msgspec.DecodeError, UnicodeEncodeError, RecursionError)


# What no value is: a member of this type is at fault wherever it stands.
_Nothing = Annotated[int, msgspec.Meta(gt=1, lt=0)]


class Cut(NamedTuple):
    """A text that was passed over, in UTF-8, and how many objects or lines it has."""

    data: bytes
    number: int


class Pieces:
    """What is cut out of one text. An object with a member of one of the names `holders` holds events, and is none."""

    def __init__(self, holders: Collection[str]):
        self._length = 0.0  # of an event, in characters
        # Names that msgspec looks for must stand in JSON as they are.
        self._are_plain = not any(_ESCAPED.search(name) for name in holders)
        if not self._are_plain:
            return
        fields: list[Any] = [(f"holder_{number}", _Nothing, 0) for number in range(len(holders))]
        names = {name: holder for (name, _, _), holder in zip(fields, sorted(holders), strict=True)}
        self._event = msgspec.json.Decoder(event := msgspec.defstruct("Event", fields, rename=names, gc=False))
        self._events = msgspec.json.Decoder(list[event])  # type: ignore[valid-type]

    def objects(self, window: Window, most: int) -> Cut | None:
        """Pass over at most so many objects of an array in which the window is, and return them as an array.

        None where the next ones are no objects, or none can be told from what they hold.
        """
        if not self._are_plain:
            return None
        length = self._fill(window, most)
        start = window.at  # to read on moves it
        for end in islice(_ends(window.text, start, start + length), TRIED):
            try:
                data = f"[{window.text[start:end]}]".encode()
                cut = _first(data, _values(data), most)
                self._events.decode(cut.data)
            except msgspec.ValidationError:
                return None
            except _FAULTS:
                continue
            passed = data[1 : len(cut.data) - 1]
            self._pass(window, len(passed) if window.text.isascii() else len(passed.decode()), cut.number)
            return cut
        return None

    def lines(self, window: Window, most: int, *, are_json: bool) -> Cut | None:
        """Pass over at most so many lines, and return them.

        None where no line ends near, one is no UTF-8, or one of JSON is not an event by itself.
        """
        if are_json and not self._are_plain:
            return None
        self._fill(window, most)
        text, end, count = window.text, window.at, 0
        while count < most and (following := text.find("\n", end) + 1):
            end, count = following, count + 1
        # The mark of the byte order counts as such at the begin of a file alone.
        if not count or text.startswith(MARK, window.at):
            return None
        try:
            data = text[window.at : end].encode()
            if are_json:
                self._event.decode_lines(data)
        except _FAULTS:
            return None
        self._pass(window, end - window.at, count)
        return Cut(data, count)

    def _fill(self, window: Window, most: int) -> int:
        """Have as much text as so many events are likely to take; return how much is to be looked at."""
        length = int(self._length * (most * MARGIN + 1)) or FIRST_CHARACTERS
        window.fill_ahead(min(length, MOST_CHARACTERS))
        return min(length, MOST_CHARACTERS)

    def _pass(self, window: Window, characters: int, count: int) -> None:
        window.pass_to(window.at + characters)
        self._length = characters / count


def _ends(text: str, start: int, end: int) -> Iterator[int]:
    """Yield where objects end that may be elements of the array, from behind."""
    for _ in range(BRACES):
        if (end := text.rfind("}", start, end)) < 0:
            return
        if _FOLLOWED.match(text, end + 1):
            yield end + 1


def _first(data: bytes, values: list[msgspec.Raw], most: int) -> Cut:
    """Return the first objects of an array, up to a value that is none. Raises `msgspec.ValidationError`."""
    if not data.startswith(b"[{"):
        raise msgspec.ValidationError("no object")
    end, count = 1, 0
    for value in values[:most]:
        end, count = end + len(memoryview(value)), count + 1
        following = _NEXT.match(data, end)
        if following is None or count == most:
            break
        end = following.end()
    return Cut(data[:end] + b"]", count)
