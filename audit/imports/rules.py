"""How a field of ours is filled from members of theirs: alternatives, of which the first that gives a value counts."""

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from typing import Any, NamedTuple

from audit.imports import paths, values
from audit.imports.fitting import Fit
from audit.imports.paths import Path

# What a table names for every value that it does not name.
OTHERS = "*"
KEYS = frozenset({"from", "text", "value", "table", "when", "form"})
_PLACEHOLDER = re.compile(r"\{([^{}|]+)((?:\|[a-z]+)*)\}")
_COMPARED = re.compile(r"(>=|<=|>|<)(-?[0-9]+(?:\.[0-9]+)?)\Z")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
}
FILTERS: dict[str, Callable[[str], str]] = {
    "first": lambda text: text.partition(".")[0],
    "last": lambda text: re.split(r"[./]", text.rstrip("/"))[-1],
    "lower": str.lower,
}

Read = Callable[[Any], Any]
Condition = Callable[[Any], bool]


class Rule(NamedTuple):
    """One alternative: how it reads a value, under which conditions, and which members it looks at."""

    read: Read
    conditions: tuple[Condition, ...]
    # All of it in one: what it gives, as it fits its field. Of a million events it is called twenty million times.
    fill: Read
    members: tuple[Path, ...]
    # A moment is read by it: `rfc3339`, a unit since 1970, or a form of strptime.
    form: str
    # Those of `members` that it takes its value from: the first of them that is there, or all of them.
    sources: tuple[Path, ...]
    takes_first: bool

    def apply(self, original: Any) -> Any:
        """Return what it gives; None where it gives nothing."""
        for condition in self.conditions:
            if not condition(original):
                return None
        return self.read(original)


def compile_rules(spec: Any, fit: Callable[[str], Fit]) -> tuple[Rule, ...]:
    """Compile what a mapping says of a field: a path, a table, or an array of both. Raises `ValueError`.

    `fit` returns for the form of moments what fits values into the field.
    """
    specs = spec if isinstance(spec, list) else [spec]
    if not specs:
        raise ValueError("names nothing: give a path, a text or a value")
    return tuple(_compile(spec, fit) for spec in specs)


def filled_by(rule: Rule, original: Any) -> Iterator[Path]:
    """Yield the members that a rule made its value of, and those that its conditions found."""
    there = [path for path in rule.members if paths.find(original, path) not in (None, "")]
    sources = [path for path in there if path in rule.sources]
    yield from sources[:1] if rule.takes_first else sources
    yield from (path for path in there if path not in rule.sources)


def _compile(spec: Any, fit: Callable[[str], Fit]) -> Rule:
    if isinstance(spec, str):
        spec = {"from": spec}
    if not isinstance(spec, dict):
        raise ValueError(f"{spec!r} is neither a path nor a table")
    if unknown := spec.keys() - KEYS:
        raise ValueError(f"{', '.join(sorted(unknown))}: known are {', '.join(sorted(KEYS))}")
    if len(spec.keys() & {"from", "text", "value"}) != 1:
        raise ValueError("needs one of from, text and value")
    read, members = _reader(spec)
    conditions = tuple(_condition(path, wanted) for path, wanted in _table(spec, "when").items())
    looked_at = tuple(paths.parse(path) for path in _table(spec, "when"))
    if "table" in spec:
        read = _by_table(read, _table(spec, "table"))
    form = _form(spec)
    is_constant = "value" in spec and "table" not in spec
    fill = _constant(fit(form)(read({})), conditions) if is_constant else _filling(read, conditions, fit(form))
    return Rule(read, conditions, fill, (*members, *looked_at), form, members, "from" in spec)


def first_of(rules: tuple[Rule, ...]) -> Read:
    """Return what fills a field by the first of its rules that gives a value."""
    fills = tuple(rule.fill for rule in rules)
    if len(fills) == 1:
        return fills[0]

    def fill(original: Any) -> Any:
        for each in fills:
            if (value := each(original)) is not None:
                return value
        return None

    return fill


def _filling(read: Read, conditions: tuple[Condition, ...], fit: Fit) -> Read:
    """What fills a field by a rule: its conditions, what it reads, and how that fits, without a call between."""

    def fill_always(original: Any) -> Any:
        value = read(original)
        return None if value is None else fit(value)

    def fill(original: Any) -> Any:
        for condition in conditions:
            if not condition(original):
                return None
        return fill_always(original)

    return fill if conditions else fill_always


def _constant(value: Any, conditions: tuple[Condition, ...]) -> Read:
    """What fills a field by a rule that gives one value, which is made to fit once."""

    def fill(original: Any) -> Any:
        for condition in conditions:
            if not condition(original):
                return None
        return value

    return fill


def _reader(spec: dict[str, Any]) -> tuple[Read, tuple[Path, ...]]:
    if "value" in spec:
        constant = spec["value"]
        if not isinstance(constant, str | int | bool):
            raise ValueError("value: must be a text, a number, true or false")
        return (lambda original: constant), ()
    if "text" in spec:
        return _template(spec["text"])
    named = spec["from"] if isinstance(spec["from"], list) else [spec["from"]]
    if not named or not all(isinstance(path, str) for path in named):
        raise ValueError("from: must be a path, or an array of paths")
    members = tuple(paths.parse(path) for path in named)
    if len(members) == 1:
        return paths.finder(members[0]), members
    return _first(members), members


def _first(members: tuple[Path, ...]) -> Read:
    """What reads the first of several members that is there. Those of one object are looked for where it has some."""
    groups: list[tuple[str, frozenset[Any], list[Read]]] = []
    for outer, group in groupby(members, key=_outer):
        inner = [path if outer is None else path[1:] for path in group]
        groups.append((outer or "", frozenset(path[0] for path in inner), [paths.finder(path) for path in inner]))

    def read(original: Any) -> Any:
        for outer, names, finders in groups:
            holder = original.get(outer) if outer else original
            if type(holder) is dict and not names.isdisjoint(holder):
                for find in finders:
                    if (value := find(holder)) is not None and value != "":
                        return value
        return None

    return read


def _outer(path: Path) -> str | None:
    """Return the name of the object that a path leads into; None for one that leads into none."""
    return path[0] if len(path) > 1 and isinstance(path[0], str) and isinstance(path[1], str) else None


def _template(text: Any) -> tuple[Read, tuple[Path, ...]]:
    """A text with members in braces; it gives nothing where one of them is missing."""
    if not isinstance(text, str) or "{" in (rest := _PLACEHOLDER.sub("", text)) or "}" in rest:
        raise ValueError("text: must be a text with members in braces, such as '{kind}.{name|lower}'")
    pieces: list[tuple[str, Read, tuple[Callable[[str], str], ...]]] = []
    members: list[Path] = []
    end = 0
    for match in _PLACEHOLDER.finditer(text):
        names = [name for name in match[2].split("|") if name]
        if unknown := [name for name in names if name not in FILTERS]:
            raise ValueError(f"text: there is no {unknown[0]!r}: known are {', '.join(FILTERS)}")
        members.append(paths.parse(match[1]))
        before, find = text[end : match.start()], paths.finder(members[-1])
        pieces.append((before, find, tuple(FILTERS[name] for name in names)))
        end = match.end()
    rest = text[end:]

    def read(original: Any) -> str | None:
        made = ""
        for before, find, filters in pieces:
            if (part := values.text(find(original))) is None:
                return None
            for change in filters:
                part = change(part)
            made += before + part
        return made + rest

    return read, tuple(members)


def _by_table(read: Read, table: Mapping[str, Any]) -> Read:
    others = table.get(OTHERS)

    def look_up(original: Any) -> Any:
        text = values.text(read(original))
        return None if text is None else table.get(text, others)

    return look_up


def _condition(path: str, wanted: Any) -> Condition:
    """A condition on a member: that it is there (true) or not (false), is a text or one of several, or compares."""
    find = paths.finder(paths.parse(path))
    if isinstance(wanted, bool):
        return lambda original: (find(original) not in (None, "")) is wanted
    if isinstance(wanted, str) and (match := _COMPARED.match(wanted)):
        compare, bound = _COMPARE[match[1]], float(match[2])
        return lambda original: _compares(find(original), compare, bound)
    accepted = {str(value) for value in (wanted if isinstance(wanted, list) else [wanted])}
    return lambda original: values.text(find(original)) in accepted


def _compares(value: Any, compare: Callable[[float, float], bool], bound: float) -> bool:
    number = values.integer(value)
    return number is not None and compare(number, bound)


def _table(spec: dict[str, Any], name: str) -> dict[str, Any]:
    table = spec.get(name, {})
    if not isinstance(table, dict):
        raise ValueError(f"{name}: must be a table")
    return table


def _form(spec: dict[str, Any]) -> str:
    form = spec.get("form", "rfc3339")
    if not isinstance(form, str) or not (form in ("rfc3339", *values.UNITS) or "%" in form):
        raise ValueError(f"form: must be rfc3339, one of {', '.join(values.UNITS)}, or as strptime has it")
    return form
