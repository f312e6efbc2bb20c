"""The canonical form of an event, and its digest.

The canonical form is RFC 8785 (JCS). The digest is the RFC 6962 leaf hash of the canonical bytes,
SHA-256(0x00 || bytes): what the sealed log keeps of a record. Computed too in audit/formats/entry.py (around it),
audit/sql/0003_log.sql, verify.py and audit/verifier/records.js.
"""

import hashlib
import json
from collections import Counter
from typing import Any

import msgspec
import rfc8785

MAX_SAFE_INTEGER = 2**53 - 1
MAX_DEPTH = 10
LEAF_PREFIX = b"\x00"


class NotCanonical(ValueError):
    """The document has no canonical form that every reader would compute alike."""


def loads(text: bytes) -> Any:
    """Parse JSON strictly: UTF-8, unique names, numbers that survive a round trip. Raises `NotCanonical`."""
    try:
        return _DECODER.decode(text.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise NotCanonical(f"the body is not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise NotCanonical(f"not valid JSON: {error}") from None
    except RecursionError:
        raise NotCanonical(f"nested too deep: at most {MAX_DEPTH} levels are allowed") from None


def canonical(document: dict[str, Any]) -> bytes:
    """Return RFC 8785 bytes. Raises `NotCanonical` for what PostgreSQL cannot hold, or is deeper than MAX_DEPTH."""
    body = plain(document) if _is_plain(document, 0) else _rfc8785(document)
    # An escaped backslash before u0000 looks the same, hence the exact second test.
    if b"\\u0000" in body and _has_nul(document):
        raise NotCanonical("contains the character U+0000, which cannot be stored")
    return body


def plain(document: dict[str, Any]) -> bytes:
    """Return the RFC 8785 bytes of a document for which `_is_plain` holds, thirty times as fast as a library."""
    try:
        return msgspec.json.encode(document, order="sorted", enc_hook=_as_text)
    except UnicodeEncodeError:
        raise NotCanonical("contains a lone surrogate, which is not a character") from None
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


def _is_plain(container: Any, depth: int) -> bool:
    """Return whether `plain` writes the same bytes as RFC 8785 asks for.

    It does where names are ASCII (their order is then the same in UTF-16) and floats are in the range that
    msgspec and ECMAScript write alike; tests/audit/formats/test_canonical.py holds the two together.
    """
    if depth > MAX_DEPTH:
        raise NotCanonical(f"nested too deep: at most {MAX_DEPTH} levels are allowed")
    is_object = isinstance(container, dict)
    plain = all(map(str.isascii, container)) if is_object else True
    for member in container.values() if is_object else container:
        kind = type(member)
        if kind is dict or kind is list:
            plain = _is_plain(member, depth + 1) and plain
        elif kind is float:
            plain = plain and abs(member) >= 1e-4 and not member.is_integer()
    return plain


def _rfc8785(document: dict[str, Any]) -> bytes:
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


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        # Linear, for the object may have half a million members.
        ((repeated, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise NotCanonical(f"the name {repeated[:80]!r} occurs twice in one object")
    return members


def _integer(text: str) -> int:
    # Compared as text first: int() of a very long literal is slow, and refused by Python itself.
    if len(text) > 17 or abs(number := int(text)) > MAX_SAFE_INTEGER:
        raise NotCanonical(f"the integer {text[:40]} is beyond 2^53-1: send it as a string")
    return number


def _float(text: str) -> float:
    number = float(text)
    # PostgreSQL returns a float without fraction as an integer, so the same bound holds.
    if not abs(number) <= MAX_SAFE_INTEGER:
        raise NotCanonical(f"the number {text[:40]} is beyond 2^53-1: send it as a string")
    return number


def _constant(text: str) -> float:
    raise NotCanonical(f"{text} is not a JSON number")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=_integer, parse_float=_float, parse_constant=_constant
)
