"""Rules of erasure: which members of which events are stored so that they can be erased later."""

import secrets
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec

from audit.formats import canonical, redaction
from audit.formats.erasable.commitments import SALT_BYTES, Beside, replace, value_at
from audit.formats.erasable.kept import Kept
from audit.formats.redaction import DATA, DEEP, Place

# Fields that may hold what is personal, and that neither proofs nor holds hang on.
MAY = ("actor_id", "actor_ip", "resource_id", "namespace", "cluster_id", "error_code", "error_message", DATA)
# Beyond that `event_data` is committed to as a whole: each place costs a row, and a path is part of its key.
MAX_PLACES = 100
MAX_PATH_CHARACTERS = 500


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """Which members of which events can be erased later."""

    name: str
    path: str
    event_type: str = ""
    only_sensitive: bool = False
    reason: str = ""

    def concerns(self, event_type: str, is_sensitive: bool) -> bool:
        return (is_sensitive or not self.only_sensitive) and redaction.is_of_type(event_type, self.event_type)


def check(rule: Rule) -> None:
    """Raise `Invalid` for a rule that cannot be applied."""
    redaction.check(rule, read_path)


def read_path(text: str) -> tuple[str, ...]:
    """Return the parts of a rule's path. Raises `ValueError`."""
    parts = redaction.read_path(text)
    if parts[0] not in MAY:
        raise ValueError(f"begins with one of {', '.join(MAY)}: the store needs {parts[0]} itself")
    if parts.count(DEEP) > 1:
        raise ValueError("has ** more than once: write event_data.**.email")
    return parts


class Rules:
    """The rules in force, ready to be applied to events."""

    def __init__(self, rules: Iterable[Rule]):
        self._rules = [(rule, read_path(rule.path)) for rule in rules]

    def __bool__(self) -> bool:
        return bool(self._rules)

    def places(self, document: Mapping[str, Any], sent: Collection[str]) -> dict[str, Place]:
        """Return the places that rules name, by path, none within another; of `sent` fields alone."""
        kind, is_sensitive = document["event_type"], bool(document["is_sensitive"])
        found: dict[str, Place] = {}
        for rule, parts in self._rules:
            if parts[0] in sent and rule.concerns(kind, is_sensitive):
                found |= {redaction.path_text(place): place for place in redaction.find(document, parts)}
        return _bounded(found)

    def commit(self, document: dict[str, Any], sent: Collection[str]) -> Beside:
        """Replace what the rules name by commitments, in place; return what is to stand beside the event.

        `event_data` is replaced, and not changed itself.
        """
        places = self.places(document, sent)
        beside = {
            path: Kept(secrets.token_bytes(SALT_BYTES), canonical.value(value_at(document, place)))
            for path, place in places.items()
        }
        replace(document, places.values(), {path: kept.commitment for path, kept in beside.items()})
        return beside


def _bounded(found: dict[str, Place]) -> dict[str, Place]:
    held = {*found.values()}
    outer = {
        path: place for path, place in found.items() if not any(place[:end] in held for end in range(1, len(place)))
    }
    if len(outer) <= MAX_PLACES and all(len(path) <= MAX_PATH_CHARACTERS for path in outer):
        return outer
    return {**{path: place for path, place in outer.items() if len(place) == 1}, DATA: (DATA,)}
