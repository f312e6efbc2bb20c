"""JSON as lines with paths, folded where it is long, bounded however large it is.

It is a list of lines, not a tree: the template writes one after the other, whatever the nesting.
"""

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from audit import safe_text

LINES = 1_500
LONG = 200  # characters of a text that are shown before it is folded
NAME, PATH = 120, 300
OPEN_DEPTH, OPEN_MEMBERS = 3, 40
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class TreeLine(NamedTuple):
    """One line: a value, a long folded one, or the beginning or end of a container."""

    kind: str  # value, long, begin, empty or end
    name: str = ""
    path: str = ""  # as jq takes it; "" where it is too long to be of use
    text: str = ""
    note: str = ""
    is_open: bool = False


class JsonTree(NamedTuple):
    lines: list[TreeLine]
    is_cut: bool


def tree(value: Any, path: str) -> JsonTree:
    lines = list(islice(_lines("", path, value, 0), LINES + 1))
    is_cut = len(lines) > LINES
    lines = lines[:LINES]
    still_open = sum((line.kind == "begin") - (line.kind == "end") for line in lines)
    return JsonTree(lines + [TreeLine("end")] * still_open, is_cut)


def member(path: str, name: str | int) -> str:
    """Return the path of a member, as jq takes it."""
    if isinstance(name, int):
        return f"{path}[{name}]"
    return f"{path}.{name}" if _PLAIN.match(name) else f"{path}[{as_text(name)}]"


def as_text(value: Any) -> str:
    """Return a value as JSON in which every character can be seen."""
    return safe_text.exact(json.dumps(value, ensure_ascii=False))


def shortened(text: str, most: int) -> str:
    """Return the beginning of a text, with its length where it was cut."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"


def _lines(name: str, path: str, value: Any, depth: int) -> Iterator[TreeLine]:
    shown, path = shortened(name, NAME), path if len(path) <= PATH else ""
    if isinstance(value, dict | list) and value:
        yield TreeLine(
            "begin", shown, path, note=_size(value), is_open=depth < OPEN_DEPTH and len(value) <= OPEN_MEMBERS
        )
        members = value.items() if isinstance(value, dict) else enumerate(value)
        for key, child in members:
            text = as_text(key) if isinstance(key, str) else str(key)
            yield from _lines(text, member(path, key) if path else "", child, depth + 1)
        yield TreeLine("end")
        return
    text = as_text(value)
    if len(text) > LONG:
        yield TreeLine("long", shown, path, text, f"{text[:LONG]}… {len(value):,} characters")
    else:
        yield TreeLine("value", shown, path, text)


def _size(value: dict[str, Any] | list[Any]) -> str:
    kind = "member" if isinstance(value, dict) else "element"
    return f"{len(value):,} {kind}{'' if len(value) == 1 else 's'}"
