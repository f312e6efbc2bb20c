"""A mapping: how events of one source become events of this store. A file says it; this reads and checks the file."""

import re
import tomllib
from collections.abc import Callable
from collections.abc import Mapping as Table
from functools import partial
from hashlib import sha256
from typing import Any, NamedTuple

from audit.errors import AuditError
from audit.formats import event
from audit.imports import fitting, paths, values
from audit.imports.fitting import Fit
from audit.imports.paths import Path
from audit.imports.rules import Rule, compile_rules, first_of
from audit.imports.sources import table

MAX_FILE_BYTES = 256 * 1024
FORMATS = ("json", "lines", "cloudevents", "otlp", "csv", "syslog")
# What a mapping may fill. The others are made here: the id, the version, `event_data`.
FIELDS = tuple(
    name for name in event.FIELDS if name not in ("event_id", "version", "event_data", "source_seq", "source_epoch")
)
# The fields that each mapping fills. The moment and the correlation have something to stand in for them.
NEEDED = ("event_type", "event_category", "event_action", "event_outcome")
# Together they are the `version` of a record, of at most 20 characters: `audit.imports.originals` reads it.
_NAME = re.compile(r"[a-z][a-z0-9-]{0,13}\Z")
_VERSION = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,2})?\Z")


class MappingInvalid(AuditError):
    """A mapping cannot be used as it is."""


class Mapping(NamedTuple):
    """A mapping that was read and checked."""

    name: str
    version: str
    title: str
    format: str
    # Members of a document that hold its events.
    records: tuple[Path, ...]
    # What an event of this source has, so that another's is not taken for one.
    requires: tuple[Path, ...]
    # What reads the value of each of them.
    required: tuple[Callable[[dict[str, Any]], Any], ...]
    identity: Callable[[dict[str, Any]], Any]
    fields: Table[str, tuple[Rule, ...]]
    # What fills each of them.
    filling: tuple[tuple[str, Callable[[dict[str, Any]], Any]], ...]
    # Of what the format is made, such as the delimiter of a CSV.
    options: Table[str, Any]
    # The members that it looks at, as a tree: {} where all below a member is taken.
    known: Table[str, Any]
    # Of the text, SHA-256 in hex.
    digest: str
    text: str

    @property
    def made_by(self) -> str:
        """What a record says of how it was made: the mapping and its version."""
        return f"{self.name}/{self.version}"


def read(text: str, where: str) -> Mapping:
    """Read a mapping from the text of its file. Raises `MappingInvalid`, which says what is wrong and in which part."""
    if len(text.encode()) > MAX_FILE_BYTES:
        raise MappingInvalid(f"{where} is larger than {MAX_FILE_BYTES // 1024} KiB: no mapping is")
    try:
        spec = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise MappingInvalid(f"{where} is not TOML: {error}") from None
    try:
        return _mapping(spec, text)
    except ValueError as error:
        raise MappingInvalid(f"{where}: {error}") from None


def _mapping(spec: dict[str, Any], text: str) -> Mapping:
    if unknown := spec.keys() - {"name", "version", "title", "source", "id", "event"}:
        raise ValueError(f"{', '.join(sorted(unknown))}: known are name, version, title, source, id and event")
    name, version = _match(spec, "name", _NAME), _match(spec, "version", _VERSION)
    source = _part(spec, "source")
    if unknown := source.keys() - {"format", "records", "requires", "delimiter", "columns"}:
        raise ValueError(f"source.{sorted(unknown)[0]}: known are format, records, requires, delimiter and columns")
    form = source.get("format", "json")
    if form not in FORMATS:
        raise ValueError(f"source.format: must be one of {', '.join(FORMATS)}")
    _check_columns(source.get("columns", []))
    fields = _fields(_part(spec, "event"))
    identity = _rules("id", spec["id"], lambda _: values.text) if "id" in spec else ()
    requires = _paths(source, "requires")
    everything = [path for rules in (identity, *fields.values()) for rule in rules for path in rule.members]
    return Mapping(
        name=name,
        version=version,
        title=str(spec.get("title", name))[:100],
        format=form,
        records=_paths(source, "records"),
        requires=requires,
        required=tuple(map(paths.finder, requires)),
        identity=first_of(identity),
        fields=fields,
        filling=tuple((name, first_of(rules)) for name, rules in fields.items()),
        options={key: source[key] for key in ("delimiter", "columns") if key in source},
        known=_tree([*everything, *requires]),
        digest=sha256(text.encode()).hexdigest(),
        text=text,
    )


def _check_columns(columns: Any) -> None:
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise ValueError("source.columns: must be an array of names")
    if twice := table.repeated(columns):
        raise ValueError(f"source.columns: {twice[0]!r} stands twice, and of two values one would be lost")


def _fields(spec: dict[str, Any]) -> dict[str, tuple[Rule, ...]]:
    if unknown := [name for name in spec if name not in FIELDS]:
        raise ValueError(f"event.{unknown[0]}: is no field that a mapping fills: these are {', '.join(FIELDS)}")
    if missing := [name for name in NEEDED if name not in spec]:
        raise ValueError(f"event.{missing[0]}: has to be filled")
    return {name: _rules(f"event.{name}", spec[name], partial(fitting.of, name)) for name in FIELDS if name in spec}


def _rules(where: str, spec: Any, fit: Callable[[str], Fit]) -> tuple[Rule, ...]:
    try:
        return compile_rules(spec, fit)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _paths(spec: dict[str, Any], name: str) -> tuple[Path, ...]:
    named = spec.get(name, [])
    if not isinstance(named, list) or not all(isinstance(path, str) for path in named):
        raise ValueError(f"source.{name}: must be an array of paths")
    return tuple(paths.parse(path) for path in named)


def _part(spec: dict[str, Any], name: str) -> dict[str, Any]:
    part = spec.get(name, {})
    if not isinstance(part, dict):
        raise ValueError(f"{name}: must be a table")
    return part


def _match(spec: dict[str, Any], name: str, pattern: "re.Pattern[str]") -> str:
    value = spec.get(name)
    if not isinstance(value, str) or not pattern.match(value):
        what = (
            "a word of at most 14 characters such as cloudtrail" if name == "name" else "such as 1 or 2.10, in quotes"
        )
        raise ValueError(f"{name}: must be {what}")
    return value


def _tree(members: list[Path]) -> dict[str, Any]:
    """The members as a tree by name. Of an array all is looked at where one element is."""
    tree: dict[str, Any] = {}
    # The shorter paths last: what takes a whole member leaves nothing below it unmapped.
    for path in sorted(members, key=len, reverse=True):
        names = []
        for step in path:
            if not isinstance(step, str):
                break
            names.append(step)
        node = tree
        for name in names[:-1]:
            node = node.setdefault(name, {})
        if names:
            is_whole = len(names) < len(path)
            node[names[-1]] = {} if is_whole else node.get(names[-1], {})
    return tree
