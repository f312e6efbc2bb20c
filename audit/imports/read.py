"""read: the events of a file or a body, one after the other, each with its place; and how to go on in the middle."""

import io
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, overload

from audit.formats.canonical import NotCanonical, Unreadable
from audit.imports.item import Item
from audit.imports.mapping import Mapping
from audit.imports.reading import values
from audit.imports.reading.json import BETWEEN, Values
from audit.imports.reading.lines import lines
from audit.imports.reading.opening import Source
from audit.imports.reading.pieces import Pieces
from audit.imports.reading.window import MAX_CHARACTERS, Broken, Window
from audit.imports.sources import table
from audit.imports.sources.explode import explode, holders, read_line

TOO_LONG = f"is longer than {MAX_CHARACTERS // 2**20} MiB, which is more than is taken"
State = dict[str, Any]


class Events:
    """The events of a text. `state`, with what the window has passed, is all that is needed to go on."""

    def __init__(self, window: Window, mapping: Mapping, state: State | None = None):
        self._window, self._mapping = window, mapping
        self.state: State = state or {}
        # Whether each event of what was passed has been handed out: only there an import may go on.
        self.is_settled = True
        self._found: Values | None = None

    def __iter__(self) -> Iterator[Item]:
        """Yield each event. Raises `Broken`, `FileUnreadable`."""
        if not self.state:
            self.state = {"kind": self._kind()}
        match self.state["kind"]:
            case "rows":
                return self._rows()
            case "lines":
                return self._lines()
            case _:
                self._found = self._values_of()
                return self._values(self._found)

    def piece(self, most: int) -> "Piece | None":
        """Pass over at most so many events, unread; None where they are to be read one by one.

        Once iteration has begun, and only where `is_settled`. Raises `Broken`, `FileUnreadable`.
        """
        if self.state["kind"] == "lines":
            line = self._window.line
            cut = self._pieces.lines(self._window, most, are_json=self._mapping.format != "syslog")
            return None if cut is None else Piece(cut.data, {"kind": "lines"}, line, self._mapping, cut.number)
        if self._found is None or not self._found.is_at_value() or self._found.mode == BETWEEN:
            return None
        if (cut := self._pieces.objects(self._window, most)) is None:
            return None
        count = self.state.get("count", 0)
        self.state |= {"mode": self._found.mode, "count": count + cut.number}
        return Piece(cut.data, {"kind": "values", "count": count}, 1, self._mapping, cut.number)

    @cached_property
    def _pieces(self) -> Pieces:
        return Pieces(holders(self._mapping))

    def _kind(self) -> str:
        if self._mapping.format == "csv":
            return "rows"
        if self._mapping.format in ("syslog", "lines"):
            return "lines"
        return "lines" if self._is_a_value_a_line() else "values"

    def _is_a_value_a_line(self) -> bool:
        """Whether the first line is a JSON object of its own: what is wrong with another then costs that line alone."""
        while (end := self._window.text.find("\n", self._window.at)) < 0:
            if not self._window.text[self._window.at :].lstrip().startswith("{") and self._window.text:
                return False
            held = len(self._window.text) - self._window.at
            if held > MAX_CHARACTERS or not self._window.fill_ahead(held + 1):
                return False
        return isinstance(values.read(self._window.text[self._window.at : end]), dict)

    def _lines(self) -> Iterator[Item]:
        number = self._window.line
        for line in lines(self._window):
            if line is None:
                yield Item(f"line {number}", Unreadable({"": TOO_LONG}, ""))
            elif line.strip():
                yield from self._of_one(f"line {number}", read_line(line, self._mapping), line)
            number = self._window.line

    def _rows(self) -> Iterator[Item]:
        delimiter = self._mapping.options.get("delimiter", ",")
        rows = table.rows(self._pulled(), delimiter)
        columns = self.state.get("columns") or self._mapping.options.get("columns")
        if columns is None:
            if (first := next(rows, None)) is None:
                return
            columns = table.names(first)
        self.state["columns"] = list(columns)
        number = self._window.line
        for row in rows:
            yield Item(f"line {number}", table.as_object(row, columns))
            number = self._window.line

    def _pulled(self) -> Iterator[str]:
        # With their ends: within quotes these are of a value.
        for line in lines(self._window, ends=""):
            if line is None:
                raise Broken(f"line {self._window.line - 1} {TOO_LONG}")
            yield line

    def _values_of(self) -> Values:
        members = [path[0] for path in self._mapping.records if len(path) == 1 and isinstance(path[0], str)]
        return Values(self._window, members, self.state.get("mode", BETWEEN))

    def _values(self, found: Values) -> Iterator[Item]:
        for value, text in found:
            events = explode(value, self._mapping)
            count = self.state.get("count", 0)
            self.state |= {"mode": found.mode, "count": count + len(events)}
            if len(events) == 1:
                self.is_settled = True
                yield Item(f"event {count + 1}", events[0], text if events[0] is value else "")
            else:
                self.is_settled = not events
                for number, event in enumerate(events, count + 1):
                    self.is_settled = number == count + len(events)
                    yield Item(f"event {number}", event)

    def _of_one(self, place: str, events: list[Any], text: str) -> Iterator[Item]:
        """The events of one text: all of them were handed out when the last one is."""
        for number, event in enumerate(events, 1):
            self.is_settled = number == len(events)
            yield Item(place, event, text if len(events) == 1 else "")


class Piece(Sequence[Item]):
    """Events that were cut out unread: a process beside parses them, and here who looks at them."""

    def __init__(self, data: bytes, state: State, line: int, mapping: Mapping, number: int = 0):
        """`data` is an array of objects, each an event, or lines, of which the first has the number `line`.

        `number` is how many there are, where that was counted.
        """
        self.text, self._mapping, self._number = (data, state, line), mapping, number

    def has(self, count: int) -> bool:
        """Whether it may have so many events, as far as is known unread: of lines some may be empty."""
        return count == self._number or (self.text[1]["kind"] == "lines" and 0 <= count < self._number)

    def originals(self) -> list[Any]:
        """Return the events, as the items have them. An array is parsed at once where nothing in it is at fault."""
        data, state, _ = self.text
        if state["kind"] == "values":
            try:
                originals: list[Any] = values.read_all(data.decode())
                return originals
            except (NotCanonical, RecursionError):
                pass
        return [item.original for item in self._items]

    @cached_property
    def _items(self) -> list[Item]:
        data, state, line = self.text
        window = Window(Source(io.BytesIO(data), "a part of the file", None), line)
        return list(Events(window, self._mapping, dict(state)))

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, number: int) -> Item: ...
    @overload
    def __getitem__(self, number: slice) -> list[Item]: ...
    def __getitem__(self, number: int | slice) -> Item | list[Item]:
        return self._items[number]


def read(body: bytes, mapping: Mapping) -> list[Item]:
    """Return the events of a body. Raises `Broken`."""
    window = Window(Source(io.BytesIO(body), "the body", None))
    return list(Events(window, mapping))
