"""safe_text: characters that nobody can see, or that reorder or colour what is around them, as escapes. Pure.

What is shown was sent by others: a right-to-left override in a name must not turn around the words beside it, and an
escape sequence must not speak to a terminal. `\\u202E` in their place is what JSON calls them.
"""

import re

_REORDERING = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_CONTROLS = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
_UNSEEN = "\xad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200d\u2028\u2029\u2060-\u2065\ufeff\U000e0000-\U000e007f"
_HARMFUL = re.compile(f"[{_CONTROLS}{_REORDERING}]")
_HIDDEN = re.compile(f"[{_CONTROLS}{_REORDERING}{_UNSEEN}]")


def harmless(text: str) -> str:
    """Without controls and what reorders; line ends and tabs stay, and so does what only joins letters."""
    return _HARMFUL.sub(_escape, text)


def exact(text: str) -> str:
    """Also what is invisible is shown: of two texts that look alike one sees that they differ."""
    return _HIDDEN.sub(_escape, text)


def _escape(match: "re.Match[str]") -> str:
    code = ord(match[0])
    if code < 0x10000:
        return f"\\u{code:04X}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04X}\\u{0xDC00 + low:04X}"
