"""Redaction rules, and how they change a record that leaves the store. The record says what was redacted.

A path is members with dots between: `actor_ip`, `event_data.user.email`. `*` is any one member or element, `**` any
number of levels; a name with a dot, a space or a star in it is quoted.
"""

import hmac
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, Protocol

import msgspec

from audit.errors import Invalid
from audit.formats import event

Method = Literal["remove", "digest", "mask"]
# The strongest first: where two rules name the same place, that one holds.
METHODS = ("remove", "digest", "mask")
# What tells which event it is, of what kind and when: who redacts that leaves nothing that could be checked.
NEVER = (
    *("event_id", "event_timestamp", "version"),
    *("event_type", "event_category", "event_action", "event_outcome"),
)
MAY = tuple(name for name in event.FIELDS if name not in NEVER)
DATA = "event_data"
ANY, DEEP = "*", "**"
DIGEST = "hmac-sha256:"
# The member of a record that names each place and its rule; null where nothing was redacted.
NAMED = "redacted"

_BARE = re.compile(r'[^\s."*\\]+\Z')
_PART = re.compile(r'(\*\*?|[^\s."*\\]+|"(?:[^"\\]|\\.)*")(?:\.|\Z)')
_TYPE = re.compile(r"[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)*(\.\*)?\Z")
_IPV4 = re.compile(r"([0-9]{1,3})(?:\.[0-9]{1,3}){3}\Z")

Place = tuple[str | int, ...]


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    path: str
    event_type: str = ""
    method: Method = "remove"
    reason: str

    def concerns(self, event_type: str) -> bool:
        return is_of_type(event_type, self.event_type)


class Named(Protocol):
    """A rule about members, of redaction or of erasure."""

    @property
    def path(self) -> str: ...

    @property
    def event_type(self) -> str: ...

    @property
    def reason(self) -> str: ...


def is_of_type(event_type: str, wanted: str) -> bool:
    """Return whether a rule for a type, for all that begin with `gateway.`, or for all, concerns an event."""
    if wanted.endswith(".*"):
        return event_type.startswith(wanted[:-1])
    return wanted in ("", event_type)


def check(rule: Named, read: Callable[[str], object] | None = None) -> None:
    """Raise `Invalid` for a rule that cannot be applied. `read` reads its path where it is no path of redaction."""
    errors = {}
    try:
        (read or read_path)(rule.path)
    except ValueError as error:
        errors["path"] = str(error)
    if rule.event_type and not _TYPE.match(rule.event_type):
        errors["event_type"] = "is an event type, or gateway.* for all that begins so; leave it empty for all events"
    if not rule.reason.strip():
        errors["reason"] = "is required: say which duty or law asks for it"
    if errors:
        raise Invalid(errors)


def read_path(text: str) -> tuple[str, ...]:
    """Return the parts of a path. Raises `ValueError`."""
    parts = []
    for part in split(text):
        if (bare := _bare(part)) != part:
            raise ValueError(f"has {part} in quotes that it does not need: write {bare}, as records name it")
        parts.append(part)
    if not parts or text.endswith("."):
        raise ValueError("names no member: write actor_ip, or event_data.user.email")
    if parts[0] == "data":
        parts[0] = DATA
    if parts[0] not in MAY:
        raise ValueError(f"begins with one of {', '.join(MAY)}")
    if parts[0] != DATA and len(parts) > 1:
        raise ValueError(f"{parts[0]} has no members: write it alone, or event_data.member")
    return tuple(parts)


def split(text: str) -> Iterator[str]:
    """Yield the parts of a path as they are written. Raises `ValueError`."""
    place = 0
    while place < len(text):
        match = _PART.match(text, place)
        if match is None:
            raise ValueError(f'cannot be read at character {place + 1}: write actor_ip, or event_data."a name".email')
        yield match[1]
        place = match.end()


def name_of(part: str) -> str:
    """Return the name of a member, of a part that is no star."""
    return re.sub(r"\\(.)", r"\1", part[1:-1], flags=re.DOTALL) if part.startswith('"') else part


def covers(path: str, place: tuple[str, ...]) -> bool:
    """Return whether a rule with this path redacts the member at `place`, by itself or with a member around it."""
    parts = read_path(path)
    return any(fits(tuple(map(_part, place[:end])), parts) for end in range(1, len(place) + 1))


def path_text(place: Place) -> str:
    return ".".join(map(_part, place))


class Redactor:
    """Applies rules. Equal values have equal digests under the same key."""

    def __init__(self, rules: Sequence[Rule], key: bytes):
        self._rules = sorted(rules, key=lambda rule: (METHODS.index(rule.method), rule.name))
        self._parts = {rule.name: read_path(rule.path) for rule in rules}
        self._key = key
        # How many members were redacted, by the name of the rule, and in how many records.
        self.members: Counter[str] = Counter()
        self.records = 0

    def lines(self, lines: bytes) -> bytes:
        """Redact records that are lines of JSON; each gets a member that says what was redacted."""
        return b"".join(self._line(line) for line in lines.splitlines())

    def redact(self, record: dict[str, Any]) -> dict[str, str]:
        """Redact a record in place; return the rule that was applied at each path."""
        places = self._places(record)
        conceal(record, places)
        for place, rule in places.items():
            self._change(record, place, rule.method)
            self.members[rule.name] += 1
        self.records += bool(places)
        return {path_text(place): rule.name for place, rule in places.items()}

    def facts(self) -> dict[str, Any]:
        """Return how many records and members were redacted since the last call."""
        facts = {"records": self.records, "members": dict(self.members)}
        self.records, self.members = 0, Counter()
        return facts

    def _line(self, line: bytes) -> bytes:
        record = json.loads(line)
        if not (named := self.redact(record)):
            return line[:-1] + f',"{NAMED}":null}}\n'.encode()
        record[NAMED] = named
        return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"

    def _places(self, record: dict[str, Any]) -> dict[Place, Rule]:
        """Return each redacted place with its rule; a place inside another redacted one is left out."""
        places: dict[Place, Rule] = {}
        for rule in self._rules:
            rule_parts = self._parts[rule.name]
            if rule.concerns(record["event_type"]):
                for place in find(record, rule_parts):
                    if len(place) > 1 or record[rule_parts[0]] is not None:
                        places.setdefault(place, rule)
        return {
            place: rule
            for place, rule in places.items()
            if not any(place[:end] in places for end in range(1, len(place)))
        }

    def _change(self, record: dict[str, Any], place: Place, method: Method) -> None:
        holder: Any = record
        for key in place[:-1]:
            holder = holder[key]
        if method == "remove" and len(place) > 1 and isinstance(holder, dict):
            del holder[place[-1]]
        else:
            holder[place[-1]] = self._instead(holder[place[-1]], method)

    def _instead(self, value: Any, method: Method) -> str | None:
        if method == "remove":
            return None
        if method == "mask":
            return mask(value)
        text = json.dumps(value, sort_keys=True).encode()
        return DIGEST + hmac.digest(self._key, text, "sha256").hex()


def conceal(record: dict[str, Any], redacted: Iterable[Place]) -> None:
    """Take the salts out of a record whose values are redacted, wholly or in part: without them none can be guessed."""
    if not (salts := record.get("salts")):
        return
    hidden = [tuple(map(_part, place)) for place in redacted]
    for path in list(salts):
        parts = tuple(split(path))
        if any(parts[: len(other)] == other[: len(parts)] for other in hidden):
            del salts[path]


def mask(value: Any) -> str:
    """Return a text that keeps almost nothing: `a***@e***`, `192.***`, `K***`."""
    if not isinstance(value, str):
        return "***"
    if match := _IPV4.match(value):
        return f"{match[1]}.***"
    name, at, host = value.partition("@")
    if at:
        return f"{name[:1]}***@{host[:1]}***"
    return f"{value[:1]}***" if len(value) > 3 else "***"


def find(value: Any, parts: tuple[str, ...], at: Place = ()) -> Iterator[Place]:
    """Yield the places in a value that a path names."""
    if not parts:
        yield at
        return
    if parts[0] == DEEP:
        yield from find(value, parts[1:], at)
    for key, member in _members(value):
        if parts[0] == DEEP:
            yield from find(member, parts, (*at, key))
        elif parts[0] == ANY or parts[0] == _part(key):
            yield from find(member, parts[1:], (*at, key))


def fits(place: tuple[str, ...], parts: tuple[str, ...]) -> bool:
    """Return whether a path, as parts, is one that a rule's path names."""
    if not parts:
        return not place
    if parts[0] == DEEP:
        return fits(place, parts[1:]) or (bool(place) and fits(place[1:], parts))
    return bool(place) and parts[0] in (ANY, place[0]) and fits(place[1:], parts[1:])


def _members(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)


def _part(key: str | int) -> str:
    text = str(key)
    return text if _BARE.match(text) else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _bare(part: str) -> str:
    """Return a part of a path as `_part` writes the same name, so that it can be compared with one in a record."""
    if part in (ANY, DEEP) or not part.startswith('"'):
        return part
    return _part(name_of(part))
