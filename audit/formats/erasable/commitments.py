"""Members of an event that can be erased later: the digest covers a commitment to each, and the value stands beside it.

Such an event has a member `erasable`, which no client can send: for each path SHA-256(salt || value in RFC 8785 form),
in hex, with 32 random bytes of salt. At each path stands the text `$erasable`; where the path is `event_data` itself,
an empty object. So whatever becomes of value and salt the digest is the same, and without the salt nobody can find out
a value by trying. Computed too in verify.py and audit/verifier/erasable.js.
"""

import copy
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from audit.formats import canonical, redaction
from audit.formats.erasable.kept import Kept
from audit.formats.redaction import DATA, Place

# The member with the commitments; beside it, of a record that is shown, the salts and what was erased.
MEMBER, SALTS, ERASED = "erasable", "salts", "erased"
INSTEAD = "$erasable"
SALT_BYTES = 32


# What stands beside an event, by path.
Beside = Mapping[str, Kept]


class Gone(ValueError):
    """There is no such place in the event."""


def whole(document: dict[str, Any], beside: Beside) -> dict[str, Any]:
    """Return an event with its values in their places, as its sender sent it."""
    return {name: value for name, value in opened(document, beside).items() if name != MEMBER}


def opened(document: dict[str, Any], beside: Beside) -> dict[str, Any]:
    """Return an event with those values in their places that stand beside it. Raises `Gone`."""
    shown = _copied(document)
    for path, kept in beside.items():
        put(shown, path, json.loads(kept.value))
    return shown


def put(document: dict[str, Any], path: str, value: Any) -> None:
    """Put a value where a commitment stands for it. Raises `Gone`."""
    _put(document, place_of(document, path), value)


def same_as(sent: dict[str, Any], commitments: Mapping[str, str], beside: Beside, erased: Collection[str]) -> bytes:
    """Return the digest that an event as it was sent has under the salts of another; where a value was erased, its
    commitment counts as it is. Raises `Gone` for an event that lacks one of the places."""
    document = _copied(sent)
    places = {path: place_of(document, path) for path in commitments}
    made = {
        path: commitments[path]
        if path in erased
        else Kept(beside[path].salt, canonical.value(value_at(document, place))).commitment
        for path, place in places.items()
        if path in erased or path in beside
    }
    replace(document, places.values(), made)
    return canonical.digest(canonical.canonical(document))


def faults(commitments: Mapping[str, str], beside: Beside, erased: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield (path, what is wrong) for values that are not what was accepted, or are gone without an erasure."""
    for path, commitment in sorted(commitments.items()):
        if path in beside and path in erased:
            yield path, "is said to be erased, and its value is still here"
        elif path in beside and beside[path].commitment != commitment:
            yield path, "is not the value that was accepted: its commitment is another one"
        elif path not in beside and path not in erased:
            yield path, f"{MISSING}: it is not here, and no erasure was approved for it"
    for path in sorted({*beside, *erased} - commitments.keys()):
        yield path, "was never accepted as something that can be erased"


# How the fault of a value begins that is nowhere.
MISSING = "lost its value"


def place_of(document: Mapping[str, Any], path: str) -> Place:
    """Return the place in an event that a path names. Raises `Gone`."""
    place: list[str | int] = []
    value: Any = document
    for part in redaction.split(path):
        key: str | int = int(part) if isinstance(value, list) and part.isdecimal() else redaction.name_of(part)
        try:
            value = value[key]
        except (LookupError, TypeError):
            raise Gone(f"the event has no member {path[:100]}") from None
        place.append(key)
    return tuple(place)


def to_text(beside: Beside) -> bytes:
    """Return what stands beside an event as the queue and the spool carry it."""
    return msgspec.json.encode({path: [kept.salt.hex(), kept.value.decode()] for path, kept in beside.items()})


def from_text(text: bytes) -> Beside:
    """Read what `to_text` wrote. Raises `ValueError`."""
    try:
        read = msgspec.json.decode(text, type=dict[str, tuple[str, str]])
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from None
    return {path: Kept(bytes.fromhex(salt), value.encode()) for path, (salt, value) in read.items()}


def replace(document: dict[str, Any], places: Iterable[Place], commitments: Mapping[str, str]) -> None:
    """Put commitments in the place of values; `event_data` is replaced, and not changed itself."""
    if not commitments:
        return
    document[DATA] = copy.deepcopy(document[DATA])
    for place in places:
        _put(document, place, {} if place == (DATA,) else INSTEAD)
    document[MEMBER] = dict(commitments)


def _copied(document: Mapping[str, Any]) -> dict[str, Any]:
    return {**document, DATA: copy.deepcopy(document[DATA])}


def value_at(document: Mapping[str, Any], place: Place) -> Any:
    value: Any = document
    for key in place:
        value = value[key]
    return value


def _put(document: dict[str, Any], place: Sequence[str | int], value: Any) -> None:
    holder: Any = document
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
