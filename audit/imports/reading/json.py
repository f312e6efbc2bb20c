"""A stream of JSON: values one after the other, arrays of events, and objects in which an array holds them.

However large a file is, one event of it is held at a time.
"""

import json
import re
from collections.abc import Collection, Iterator
from typing import Any

from audit.formats.canonical import NotCanonical
from audit.imports.reading import values
from audit.imports.reading.window import Broken, Window

# Where an event is looked for next: between values, in an array, in the array of an object.
BETWEEN, IN_ARRAY, IN_MEMBER = "between", "array", "member"
# So far into an object its array of events begins; else it is read whole.
HEADER_CHARACTERS = 4096
_SPACE = re.compile(r"[ \t\n\r]*")


class Values:
    """The values of a stream, each event by itself; `mode` says where the next one is looked for."""

    def __init__(self, window: Window, members: Collection[str], mode: str = BETWEEN):
        self._window, self.mode = window, mode
        names = "|".join(map(re.escape, sorted(members)))
        self._member = re.compile(rf'"(?:{names})"[ \t\n\r]*:[ \t\n\r]*\[') if members else None

    def __iter__(self) -> Iterator[tuple[Any, str]]:
        """Yield each value with its text. Raises `Broken`, `FileUnreadable`."""
        while self.is_at_value():
            yield self._value()

    def is_at_value(self) -> bool:
        """Pass to where the next value begins; return whether there is one. Raises `Broken`, `FileUnreadable`."""
        while True:
            sign = self._sign()
            if sign == "":
                if self.mode != BETWEEN:
                    raise Broken("the file ends in the middle of an array: it is not whole")
                return False
            if self.mode == BETWEEN and sign == "[":
                self._pass_sign(IN_ARRAY)
            elif self.mode == BETWEEN and sign == "{" and self._enters_member():
                self.mode = IN_MEMBER
            elif self.mode != BETWEEN and sign == "]":
                was = self.mode
                self._pass_sign(BETWEEN)
                if was == IN_MEMBER:
                    self._leave_object()
            elif self.mode != BETWEEN and sign == ",":
                self._pass_sign(self.mode)
            else:
                return True

    def _sign(self) -> str:
        """Return the next character that is no space; "" at the end."""
        while True:
            text, end = self._window.text, self._window.at
            if text[end : end + 1].isspace():
                end = self._space(end)
                self._window.pass_to(end)
            if end < len(text):
                return text[end]
            if not self._window.fill():
                return ""

    def _pass_sign(self, mode: str) -> None:
        self._window.pass_to(self._window.at + 1)
        self.mode = mode

    def _value(self) -> tuple[Any, str]:
        while True:
            try:
                value, end = values.read_at(self._window.text, self._window.at)
            except (json.JSONDecodeError, NotCanonical) as error:
                if self._window.fill():
                    continue
                raise Broken(f"it is not JSON: {error}") from None
            # Of a number the rest may follow.
            if end == len(self._window.text) and not isinstance(value, dict | list) and self._window.fill():
                continue
            return value, self._window.pass_to(end)

    def _enters_member(self) -> bool:
        """Pass to the first element of the array that holds the events of an object, if it begins near its begin."""
        if self._member is None:
            return False
        self._window.fill_ahead(HEADER_CHARACTERS)
        text, at = self._window.text, self._window.at
        for member in self._member.finditer(text, at, at + HEADER_CHARACTERS):
            if self._is_own(text, at + 1, member.start()):
                self._window.pass_to(member.end())
                return True
        return False

    def _is_own(self, text: str, end: int, member: int) -> bool:
        """Whether what stands between the begin of an object and a member of it are members of the same object."""
        end = self._space(end)
        while end < member:
            try:
                name, end = values.read_at(text, end)
                end = self._space(end)
                if not isinstance(name, str) or text[end : end + 1] != ":":
                    return False
                _, end = values.read_at(text, self._space(end + 1))
            except (json.JSONDecodeError, NotCanonical):
                return False
            end = self._space(end)
            if text[end : end + 1] != ",":
                return False
            end = self._space(end + 1)
        return end == member

    def _leave_object(self) -> None:
        """Pass over the members that follow the array, and the end of the object. Raises `Broken`."""
        while (sign := self._sign()) == ",":
            self._pass_sign(BETWEEN)
            self._sign()
            self._value()
            if self._sign() != ":":
                raise Broken("it is not JSON: a name without a value follows the events")
            self._pass_sign(BETWEEN)
            self._sign()
            self._value()
        if sign != "}":
            raise Broken("it is not JSON: the object that holds the events does not end")
        self._pass_sign(BETWEEN)

    def _space(self, start: int) -> int:
        match = _SPACE.match(self._window.text, start)
        assert match is not None
        return match.end()
