"""language: which JSON Schemas are taken, and the check of a value by one.

JSON Schema 2020-12, within bounds that keep each check short whatever is sent: regular expressions that are matched in
linear time, references within the schema that lead to no cycle, and no more subschemas than MAX_SUBSCHEMAS once each
reference is replaced by what it names. jsonschema-rs is an extra: `pip install auditsite[schemas]`.
"""

from collections.abc import Iterator, Sequence
from importlib import import_module
from itertools import islice
from types import ModuleType
from typing import Any

from audit.errors import Invalid
from audit.formats import canonical

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MAX_BYTES, MAX_SUBSCHEMAS, MAX_DEPTH = 64 * 1024, 2_000, 60
MAX_FAULTS, SHOWN = 20, 200
# Keywords with a schema, with a list of schemas, with a schema for each name.
ONE = frozenset(
    {"items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"}
    | {"unevaluatedItems", "unevaluatedProperties"}
)
SEVERAL = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
BY_NAME = frozenset({"properties", "patternProperties", "dependentSchemas"})
DEFINITIONS = ("$defs", "definitions")
# What leads out of the schema, or to where nobody can say before.
REFUSED = ("$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$anchor", "$id", "$vocabulary", "dependencies")
MEMBER = "document"
# The ends of the places in a schema that speak of a member which is not there, and of one too many.
REQUIRED, NOT_FORESEEN = ["required"], (["additionalProperties"], ["unevaluatedProperties"])


class Checker:
    """One schema, ready to check by."""

    def __init__(self, document: dict[str, Any]):
        rs = _library()
        self._validator = rs.Draft202012Validator(
            document, pattern_options=rs.RegexOptions(), retriever=_refuse, validate_formats=False, mask="the value"
        )

    def faults(self, value: Any) -> dict[str, str]:
        """What does not fit, by the path of the member below `event_data`: at most 20, none of them with a value."""
        if self._validator.is_valid(value):
            return {}
        found: dict[str, list[str]] = {}
        for place, text in islice(self._faults(value), MAX_FAULTS):
            found.setdefault(canonical.path_text(("event_data", *place))[:SHOWN], []).append(text)
        return {path: "; ".join(texts) for path, texts in found.items()}

    def _faults(self, value: Any) -> Iterator[tuple[Sequence[str | int], str]]:
        """Yield the place of each fault: of a member that is missing, or not foreseen, that of the member itself."""
        for error in self._validator.iter_errors(value):
            where, keyword = f"(schema, {_pointer(error.schema_path)})", error.schema_path[-1:]
            if keyword in NOT_FORESEEN:
                yield from (
                    ((*error.instance_path, name), f"is not foreseen {where}") for name in error.kind.unexpected
                )
                continue
            missing = [error.kind.property] if keyword == REQUIRED else []
            yield (*error.instance_path, *missing), f"{error.message[:SHOWN]} {where}"


def read(text: str) -> dict[str, Any]:
    """Read a schema that was typed or sent, and check that it can be taken. Raises `Invalid`."""
    if len(text.encode(errors="replace")) > MAX_BYTES:
        raise _fault(f"has more than {MAX_BYTES} bytes")
    try:
        document = canonical.loads(text.encode())
        if isinstance(document, dict):
            canonical.canonical(document)
    except ValueError as error:  # also a lone surrogate
        raise _fault(f"is no JSON that can be kept: {error}") from None
    check(document)
    read_document: dict[str, Any] = document
    return read_document


def check(document: Any) -> None:
    """Raises `Invalid`, which names the place and what to do."""
    if not isinstance(document, dict):
        raise _fault("must be a JSON object")
    if document.get("$schema", DIALECT).rstrip("#") != DIALECT:
        raise _fault(f"$schema must be {DIALECT}, or be left out")
    _Walk(document).walk()
    try:
        Checker(document)
    except Invalid:
        raise
    except Exception as error:  # the library has no base for what it finds wrong with a schema
        text = str(error).split("\n")[0][:SHOWN]
        raise _fault(f"cannot be used: {text}. Patterns may have neither look-around nor back references") from None


class _Walk:
    """Counts the subschemas that a check may come by, each reference replaced by what it names."""

    def __init__(self, document: dict[str, Any]):
        self._document, self._count = document, 0

    def walk(self) -> None:
        self._schema(self._document, "", ())
        # What nothing refers to is not applied, and must be in bounds all the same: the next revision may refer to it.
        for name in DEFINITIONS:
            for key, schema in self._named(self._document, name, ""):
                self._schema(schema, f"/{name}/{key}", ())

    def _schema(self, schema: Any, place: str, within: tuple[str, ...]) -> None:
        self._count += 1
        if self._count > MAX_SUBSCHEMAS:
            raise _fault(f"has more than {MAX_SUBSCHEMAS} subschemas once its references are followed: make it smaller")
        if isinstance(schema, bool):
            return
        if not isinstance(schema, dict):
            raise _fault(f"at {place or '/'} must be a schema: an object, true or false")
        if place.count("/") + len(within) > MAX_DEPTH:
            raise _fault(f"at {place[:SHOWN]} is more than {MAX_DEPTH} levels deep")
        for name in REFUSED:
            if name in schema:
                raise _fault(f"at {place or '/'} has {name}, which is not taken: refer by $ref to #/$defs/NAME")
        if "$ref" in schema:
            self._reference(schema["$ref"], place, within)
        for keyword, value in schema.items():
            self._keyword(schema, keyword, value, f"{place}/{keyword}", within)

    def _keyword(self, schema: dict[str, Any], keyword: str, value: Any, place: str, within: tuple[str, ...]) -> None:
        if keyword in ONE:
            self._schema(value, place, within)
        elif keyword in SEVERAL:
            if not isinstance(value, list):
                raise _fault(f"at {place} must be a list of schemas")
            for number, each in enumerate(value):
                self._schema(each, f"{place}/{number}", within)
        elif keyword in BY_NAME:
            for name, each in self._named(schema, keyword, place):
                self._schema(each, f"{place}/{name}", within)

    def _reference(self, to: Any, place: str, within: tuple[str, ...]) -> None:
        if not isinstance(to, str) or not to.startswith("#/"):
            raise _fault(f"at {place or '/'} refers to {str(to)[:SHOWN]!r}: only #/$defs/NAME of its own is taken")
        if to in within:
            raise _fault(f"at {place or '/'} refers in a circle, to {to[:SHOWN]!r}: say how deep it goes instead")
        found: Any = self._document
        for part in to[2:].split("/"):
            part = part.replace("~1", "/").replace("~0", "~")
            found = found.get(part) if isinstance(found, dict) else None
        if found is None:
            raise _fault(f"at {place or '/'} refers to {to[:SHOWN]!r}, which is not there")
        self._schema(found, place, (*within, to))

    def _named(self, schema: dict[str, Any], keyword: str, place: str) -> Iterator[tuple[str, Any]]:
        value = schema.get(keyword, {})
        if not isinstance(value, dict):
            raise _fault(f"at {place or '/'} {keyword} must be an object of schemas")
        yield from value.items()


def _library() -> ModuleType:
    try:
        return import_module("jsonschema_rs")
    except ImportError:
        raise Invalid(
            {"": "schemas cannot be used here: jsonschema-rs is missing; `pip install auditsite[schemas]`"}
        ) from None


def _refuse(uri: str) -> Any:
    raise ValueError(f"{uri} is not fetched")


def _pointer(parts: Any) -> str:
    return "/".join(str(part) for part in parts)[:SHOWN] or "/"


def _fault(text: str) -> Invalid:
    return Invalid({MEMBER: text})
