"""What an event changed: the members that differ between its `before` and `after`."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from audit.admin.search.json_tree import as_text, member, shortened

PAIRS = (("before", "after"), ("old", "new"), ("from", "to"))
CHANGES = 300
MEMBERS = 20_000
LONG = 300
NESTED, EMPTY = "", ("{}", "[]")


class Change(NamedTuple):
    """One member that differs. `kind` is changed, added or removed."""

    path: str
    before: str
    after: str
    kind: str


class Difference(NamedTuple):
    """Everything that differs, up to CHANGES members."""

    changes: list[Change]
    unchanged: int
    is_cut: bool


def difference(data: Any, path: str) -> Difference | None:
    """Return what differs between every `before` and `after` in the data; None where there is no such pair."""
    pairs = list(_pairs(data, path))
    if not pairs:
        return None
    changes: list[Change] = []
    unchanged = 0
    for at, before, after in pairs:
        old, new = (dict(islice(_leaves(value, at), MEMBERS)) for value in (before, after))
        for place in [*old, *(place for place in new if place not in old)]:
            was, is_now = old.get(place), new.get(place)
            if NESTED in (was, is_now) and {was, is_now} <= {NESTED, None, *EMPTY}:
                continue  # what was in it, or is in it now, says so itself
            if was == is_now:
                unchanged += 1
            else:
                changes.append(_change(place, was or None, is_now or None))
    return Difference(changes[:CHANGES], unchanged, len(changes) > CHANGES)


def _pairs(value: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield each pair, at any depth; not what is inside one."""
    if isinstance(value, list):
        for place, child in enumerate(value):
            yield from _pairs(child, member(path, place))
    elif isinstance(value, dict):
        used = {name for pair in PAIRS if all(name in value for name in pair) for name in pair}
        for before, after in PAIRS:
            if before in used and after in used:
                yield path, value[before], value[after]
        for name, child in value.items():
            if name not in used:
                yield from _pairs(child, member(path, name))


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield path and text of each value; for a container only that it is one."""
    if isinstance(value, dict | list) and value:
        yield path, NESTED
        for name, child in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(child, member(path, name))
    else:
        yield path, as_text(value)


def _change(path: str, before: str | None, after: str | None) -> Change:
    kind = "added" if before is None else "removed" if after is None else "changed"
    old, new = (shortened(text, LONG) if text is not None else "" for text in (before, after))
    return Change(shortened(path, LONG), old, new, kind)
