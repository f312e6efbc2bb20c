"""Make text from outside safe to show and to store. Pure.

Shown: characters that are invisible, or that reorder or colour their surroundings, become JSON escapes such as
`\\u202E`. A right-to-left override must not turn around the words beside it; an escape sequence must not reach a
terminal. Stored: PostgreSQL holds neither U+0000 nor lone surrogates.
"""

import re

_REORDERING = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_CONTROLS = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
_UNSEEN = "\xad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200d\u2028\u2029\u2060-\u2065\ufeff\U000e0000-\U000e007f"
_HARMFUL = re.compile(f"[{_CONTROLS}{_REORDERING}]")
_HIDDEN = re.compile(f"[{_CONTROLS}{_REORDERING}{_UNSEEN}]")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def harmless(text: str) -> str:
    """Escape control and reordering characters. Line ends, tabs and joiners of letters stay."""
    return _HARMFUL.sub(_escape, text)


def exact(text: str) -> str:
    """Escape invisible characters as well, so that two texts that look alike can be told apart."""
    return _HIDDEN.sub(_escape, text)


def storable(text: str, limit: int | None = None) -> str:
    """Text as PostgreSQL can hold it, of at most `limit` characters; U+FFFD stands for each one that it cannot."""
    return _UNSTORABLE.sub("\ufffd", text[:limit])


def _escape(match: "re.Match[str]") -> str:
    code = ord(match[0])
    if code < 0x10000:
        return f"\\u{code:04X}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04X}\\u{0xDC00 + low:04X}"
