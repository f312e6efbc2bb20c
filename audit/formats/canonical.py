"""The canonical form of an event, and its digest.

The canonical form is RFC 8785 (JCS). The digest is the RFC 6962 leaf hash of the canonical bytes,
SHA-256(0x00 || bytes): what the sealed log keeps of a record. Computed too in audit/formats/entry.py (around it),
audit/sql/0003_log.sql, verify.py and audit/verifier/records.js.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import msgspec
import rfc8785

MAX_SAFE_INTEGER = 2**53 - 1
MAX_DEPTH = 64
LEAF_PREFIX = b"\x00"

# What is at fault in a document is named so often, each by a path of so many characters.
MAX_FAULTS = 20
PATH_CHARACTERS, NAME_CHARACTERS = 2_000, 100
# An array with something at fault is read element by element to here; no batch has so many.
MAX_ELEMENTS = 10_000
# Of text that is nested beyond what Python reads, so many marks and levels are looked at to find the place.
MAX_MARKS, MAX_LEVELS = 500_000, 20_000

TOO_DEEP = f"nested too deep: at most {MAX_DEPTH} levels are allowed"
NUL = "contains the character U+0000, which cannot be stored"
SURROGATE = "contains a lone surrogate, which is not a character"


class NotCanonical(ValueError):
    """The document has no canonical form that every reader would compute alike; `faults` says why, by path."""

    def __init__(self, message: str, faults: dict[str, str] | None = None):
        super().__init__(message)
        self.faults = faults or {"": message}


class Unreadable(NamedTuple):
    """What stands for a document that has no canonical form: what is wrong with it, by path, and its text."""

    faults: dict[str, str]
    text: str


def loads(text: bytes) -> Any:
    """Parse JSON strictly: UTF-8, unique names, numbers that survive a round trip. Raises `NotCanonical`."""
    document = read(text)
    faults: dict[str, str] = {}
    if isinstance(document, Unreadable):
        faults = document.faults
    elif isinstance(document, list):
        for place, element in enumerate(document):
            if isinstance(element, Unreadable):
                faults |= {f"{place}.{path}".rstrip("."): message for path, message in element.faults.items()}
    if faults:
        raise NotCanonical(next(iter(faults.values())), faults)
    return document


def read(text: bytes) -> Any:
    """Parse JSON as `loads` does, with an `Unreadable` for a document, or for each element of an array, at fault.

    Raises `NotCanonical` for what is no JSON at all.
    """
    try:
        decoded = text.decode("utf-8")
        return _STRICT.decode(decoded)
    except UnicodeDecodeError as error:
        raise NotCanonical(f"the body is not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise _no_json(error) from None
    except (NotCanonical, RecursionError):
        return _read_with_faults(decoded)


def texts(text: bytes) -> list[str]:
    """Return the elements of an array as they are written. Raises `NotCanonical` for what is no array of JSON."""
    decoded = text.decode("utf-8")
    spans: list[tuple[int, int]] = []
    _elements(decoded, _skip_space(decoded, 0), spans)
    return [decoded[start:end] for start, end in spans]


def element(text: str, start: int) -> tuple[Any, int]:
    """Parse the value at `start` as `loads` does; return it, or an `Unreadable` for one at fault, and where it ends.

    Raises `json.JSONDecodeError` for what is no JSON, or does not end; `NotCanonical` for what is nested without end.
    """
    return _element(text, start)


def canonical(document: dict[str, Any]) -> bytes:
    """Return RFC 8785 bytes. Raises `NotCanonical` for what PostgreSQL cannot hold, or is deeper than MAX_DEPTH."""
    try:
        body = plain(document) if _is_plain(document, 0) else _rfc8785(document)
        # An escaped backslash before u0000 looks the same, hence the exact second test.
        if b"\\u0000" in body and _has_nul(document):
            raise NotCanonical(NUL)
        return body
    except NotCanonical as error:
        raise NotCanonical(str(error), dict(islice(_faults(document), MAX_FAULTS))) from None


def value(part: Any) -> bytes:
    """Return the RFC 8785 bytes of any value of a document. Raises `NotCanonical`, as `canonical` does."""
    body = plain([part]) if _is_plain([part], 0) else _rfc8785([part])
    return body[1:-1]


def plain(document: Any) -> bytes:
    """Return the RFC 8785 bytes of a document for which `_is_plain` holds, thirty times as fast as a library."""
    try:
        return msgspec.json.encode(document, order="sorted", enc_hook=_as_text)
    except UnicodeEncodeError:
        raise NotCanonical(SURROGATE) from None
    except OverflowError:
        raise NotCanonical("contains an integer beyond 2^53-1") from None


def _as_text(value: Any) -> str:
    """A subclass of str is a text as well."""
    if isinstance(value, str):
        return str(value)
    raise TypeError(f"{type(value).__name__} is no JSON")


def digest(canonical_bytes: bytes) -> bytes:
    """Return SHA-256(0x00 || canonical bytes), 32 bytes: the RFC 6962 leaf hash."""
    return hashlib.sha256(LEAF_PREFIX + canonical_bytes).digest()


_LOOKED_AT = frozenset({dict, list, float})


def _is_plain(container: Any, depth: int) -> bool:
    """Return whether `plain` writes the same bytes as RFC 8785 asks for.

    It does where names are ASCII (their order is then the same in UTF-16) and floats are in the range that
    msgspec and ECMAScript write alike; tests/audit/formats/test_canonical.py holds the two together.
    """
    if depth > MAX_DEPTH:
        raise NotCanonical(TOO_DEEP)
    is_object = isinstance(container, dict)
    plain = "".join(container).isascii() if is_object else True
    members = container.values() if is_object else container
    # Nearly all hold texts alone, and are looked at in one go.
    if _LOOKED_AT.isdisjoint(map(type, members)):
        return plain
    for member in members:
        kind = type(member)
        if kind is dict or kind is list:
            plain = _is_plain(member, depth + 1) and plain
        elif kind is float:
            plain = plain and abs(member) >= 1e-4 and not member.is_integer()
    return plain


def _rfc8785(document: Any) -> bytes:
    try:
        return rfc8785.dumps(document)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise NotCanonical(f"contains a lone surrogate or an unsafe number: {error}") from None


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        return any("\x00" in name or _has_nul(member) for name, member in value.items())
    return isinstance(value, list) and any(_has_nul(member) for member in value)


class _Fault(NamedTuple):
    """What stands for a value that has no canonical form, in a document that is read to find out where it is."""

    message: str
    member: str = ""


def _no_json(error: json.JSONDecodeError) -> NotCanonical:
    return NotCanonical(f"not valid JSON: {error}")


def _read_with_faults(text: str) -> Any:
    """Parse JSON of which a part is at fault: alone, or element by element."""
    try:
        start = _skip_space(text, 0)
        if text[start : start + 1] != "[":
            document, end = _element(text, start)
        else:
            document, end = _elements(text, start)
        if (end := _skip_space(text, end)) < len(text):
            raise json.JSONDecodeError("Extra data", text, end)
        return document
    except json.JSONDecodeError as error:
        raise _no_json(error) from None


def _elements(text: str, start: int, spans: list[tuple[int, int]] | None = None) -> tuple[list[Any], int]:
    """Parse an array that begins at `start`; return it, and where it ends; add where each element is to `spans`."""
    elements: list[Any] = []
    end = start
    while not elements or text[end : end + 1] == ",":
        begin = _skip_space(text, end + 1)
        element, end = _element(text, begin)
        elements.append(element)
        if spans is not None:
            spans.append((begin, end))
        if len(elements) > MAX_ELEMENTS:
            raise NotCanonical(f"an array of more than {MAX_ELEMENTS} elements, of which one has no canonical form")
        end = _skip_space(text, end)
    if text[end : end + 1] != "]":
        raise json.JSONDecodeError("Expecting ',' delimiter", text, end)
    return elements, end + 1


def _element(text: str, start: int) -> tuple[Any, int]:
    """Parse the value at `start`; return it, or what is at fault in it, and where it ends."""
    if start == len(text):
        raise json.JSONDecodeError("Expecting value", text, start)
    try:
        return _STRICT.raw_decode(text, start)
    except NotCanonical:
        marked, end = _MARKING.raw_decode(text, start)
        return Unreadable(dict(islice(_faults(marked), MAX_FAULTS)), text[start:end]), end
    except RecursionError:
        path, end = _scan(text, start)
        return Unreadable({path: TOO_DEEP}, text[start:end]), end


def _faults(document: Any) -> Iterator[tuple[str, str]]:
    """Yield (path, message) for what is at fault in a document, each place once."""
    waiting: list[tuple[tuple[str | int, ...], Any]] = [((), document)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, _Fault):
            yield path_text((*path, value.member) if value.member else path), value.message
        elif isinstance(value, str):
            if message := _text_fault(value):
                yield path_text(path), message
        elif isinstance(value, dict | list):
            if len(path) > MAX_DEPTH:
                yield path_text(path), TOO_DEEP
                continue
            members = list(value.items() if isinstance(value, dict) else enumerate(value))
            yield from (
                (path_text((*path, name)), f"the name {message}")
                for name, _ in members
                if (message := _text_fault(name))
            )
            waiting += [((*path, name), member) for name, member in reversed(members)]


def _text_fault(text: str | int) -> str:
    if isinstance(text, int) or (text.isascii() and "\x00" not in text):
        return ""
    if "\x00" in text:
        return NUL
    return SURROGATE if _SURROGATE.search(text) else ""


def path_text(names: Sequence[str | int]) -> str:
    """Return the names of members and the places in arrays that lead to a value, with dots between."""
    path = ".".join(map(_name, names))
    return path if len(path) <= PATH_CHARACTERS else f"{path[:PATH_CHARACTERS]}…"


def _name(name: str | int) -> str:
    if isinstance(name, int):
        return str(name)
    shown = name if len(name) <= NAME_CHARACTERS else f"{name[:NAME_CHARACTERS]}…"
    return shown if shown and "." not in shown and not _text_fault(shown) else json.dumps(shown)


def _scan(text: str, start: int) -> tuple[str, int]:
    """Return the path of what is nested too deep in the value at `start`, and where that value ends.

    Raises `NotCanonical` where the end does not come, or is too far.
    """
    # Of an object the last text, which is the name where a container begins; of an array the place.
    stack: list[str | int] = []
    path: str | None = None
    for mark in islice(_MARKS.finditer(text, start), MAX_MARKS):
        token = mark[0]
        if token in ("[", "{"):
            if len(stack) > MAX_DEPTH and path is None:
                path = path_text(stack)
            if len(stack) > MAX_LEVELS:
                break
            stack.append(0 if token == "[" else "")
        elif token in ("]", "}"):
            stack.pop()
            if not stack:
                return path or "", mark.end()
        elif token == ",":
            stack[-1] = stack[-1] + 1 if isinstance(stack[-1], int) else ""
        elif isinstance(stack[-1], str):
            stack[-1] = token[1:-1]
    raise NotCanonical(TOO_DEEP, {path or "": TOO_DEEP})


def _skip_space(text: str, start: int) -> int:
    match = _SPACE.match(text, start)
    assert match is not None
    return match.end()


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        repeated = _repeated(pairs)
        raise NotCanonical(f"the name {repeated[:80]!r} occurs twice in one object")
    return members


def _repeated(pairs: list[tuple[str, Any]]) -> str:
    # Linear, for the object may have half a million members.
    ((repeated, _),) = Counter(name for name, _ in pairs).most_common(1)
    return repeated


def _integer(text: str) -> int:
    # Compared as text first: int() of a very long literal is slow, and refused by Python itself.
    if len(text) > 17 or abs(number := int(text)) > MAX_SAFE_INTEGER:
        raise NotCanonical(f"the integer {text[:40]} is beyond 2^53-1: send it as a string")
    return number


def _float(text: str) -> float | int:
    number = float(text)
    # PostgreSQL returns a float without fraction as an integer, so the same bound holds.
    if not abs(number) <= MAX_SAFE_INTEGER:
        raise NotCanonical(f"the number {text[:40]} is beyond 2^53-1: send it as a string")
    # 12.0 is an integer in JSON Schema, and is written 12 in the canonical form.
    return int(number) if number.is_integer() else number


def _constant(text: str) -> float:
    raise NotCanonical(f"{text} is not a JSON number")


def _marked(hook: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a hook of the decoder that leaves a mark where another refuses."""

    def mark(value: Any) -> Any:
        try:
            return hook(value)
        except NotCanonical as error:
            return _Fault(str(error), _repeated(value) if hook is _members else "")

    return mark


_SPACE = re.compile(r"[ \t\n\r]*")
_SURROGATE = re.compile("[\ud800-\udfff]")
# A text that does not end is taken as one to its end, so that no part of it is looked at twice.
_MARKS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[\[\]{},]', re.DOTALL)
_HOOKS = {"object_pairs_hook": _members, "parse_int": _integer, "parse_float": _float, "parse_constant": _constant}
_STRICT = json.JSONDecoder(**_HOOKS)  # type: ignore[arg-type]
_MARKING = json.JSONDecoder(**{name: _marked(hook) for name, hook in _HOOKS.items()})  # type: ignore[arg-type]
