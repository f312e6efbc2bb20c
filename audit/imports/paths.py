"""How a mapping names a member of a foreign event: `user.name`, `targets[0].id`, `labels."app/name"`, `tags[key=env]`.

A step is a name, a place in an array, or the first element of an array whose member has a value.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple


class Element(NamedTuple):
    """The first element of an array whose member `name` is `value`."""

    name: str
    value: str


Step = str | int | Element
Path = tuple[Step, ...]

MAX_STEPS = 20
_STEP = re.compile(
    r'(?:^|\.)(?:"(?P<quoted>(?:[^"\\]|\\.)+)"|(?P<name>[^."\[\]]+))'
    r"|\[(?P<index>[0-9]{1,4})\]"
    r"|\[(?P<key>[^\[\]=]+)=(?P<value>[^\[\]]+)\]"
)


def parse(text: str) -> Path:
    """Read a path. Raises `ValueError`."""
    steps: list[Step] = []
    end = 0
    while end < len(text) and (match := _STEP.match(text, end)):
        steps.append(_step(match))
        end = match.end()
    if end < len(text) or not steps:
        raise ValueError(f"{text!r} is no path: write members with dots between, and names with dots in quotes")
    if len(steps) > MAX_STEPS:
        raise ValueError(f"{text!r} has more than {MAX_STEPS} steps")
    return tuple(steps)


def find(value: Any, path: Path) -> Any:
    """Return what stands at a path; None where nothing does, or null."""
    for step in path:
        if type(step) is str:
            if type(value) is not dict:
                return None
            value = value.get(step)
        elif type(value) is not list:
            return None
        elif type(step) is int:
            value = value[step] if step < len(value) else None
        else:
            assert isinstance(step, Element)
            value = next((item for item in value if isinstance(item, dict) and item.get(step.name) == step.value), None)
        if value is None:
            return None
    return value


def finder(path: Path) -> Callable[[dict[str, Any]], Any]:
    """Return what finds a path in an object, as `find` does: quick for one name or two, as most have."""
    if len(path) == 1 and isinstance(name := path[0], str):
        return lambda document: document.get(name)
    if len(path) == 2 and isinstance(outer := path[0], str) and isinstance(inner := path[1], str):

        def find_inner(document: dict[str, Any]) -> Any:
            member = document.get(outer)
            return member.get(inner) if type(member) is dict else None

        return find_inner
    return lambda document: find(document, path)


@lru_cache(maxsize=4096)
def text_of(path: Path) -> str:
    """Return a path as a mapping writes it."""
    return "".join(
        f"[{step}]"
        if isinstance(step, int)
        else f"[{step.name}={step.value}]"
        if isinstance(step, Element)
        else f"{'.' if place else ''}{_name(step)}"
        for place, step in enumerate(path)
    )


def _step(match: "re.Match[str]") -> Step:
    if match["index"] is not None:
        return int(match["index"])
    if match["key"] is not None:
        return Element(match["key"], match["value"])
    return match["name"] if match["name"] is not None else re.sub(r"\\(.)", r"\1", match["quoted"])


def _name(name: str) -> str:
    if re.fullmatch(r'[^."\[\]]+', name):
        return name
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
