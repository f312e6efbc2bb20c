"""The query language: one text for every search, parsed into a `Query` and printed again.

    actor:alice type:gateway.* outcome:failure -severity:info after:7d data.namespace:prod

Terms narrow each other; the same field twice means either. A word alone is looked for in several fields (`ANYWHERE`).
docs/search.md explains it to people.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address
from typing import Any, NoReturn
from uuid import UUID

import msgspec

from audit.formats import canonical, spellings, times
from audit.formats.fields import ALIASES, ANY, ANYWHERE, DATA, FIELDS, OUTCOMES

MAX_TEXT = 4_000
MAX_VALUES = 50
MAX_SHOWN = 60
# What other search boxes know and this one does not, and what to write instead.
OPERATORS = {
    "AND": "terms are always combined with AND: leave it out",
    "OR": "repeat a field for OR, such as `actor:a actor:b`; different fields need a search each",
    "NOT": "write `-` before what is to be left out, such as `-outcome:success`",
}


class Value(msgspec.Struct, frozen=True):
    """A value of a term: this exact text, everything that begins with it, or, in the data, this text and no number."""

    text: str
    prefix: bool = False
    only_text: bool = False


class Term(msgspec.Struct, frozen=True):
    """One condition: the field has one of the values; or, negated, none of them."""

    field: str
    values: tuple[Value, ...]
    negated: bool = False
    path: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, tuple[str, ...], bool]:
        """Terms with the same key are merged; words without a field narrow each other."""
        path = tuple(value.text for value in self.values) if self.field == ANY else self.path
        return self.field, path, self.negated

    @property
    def is_time(self) -> bool:
        return self.field in FIELDS and FIELDS[self.field].kind == "time"


class Query(msgspec.Struct, frozen=True):
    """A search: all of these conditions hold. Without terms it matches everything."""

    terms: tuple[Term, ...] = ()

    def __str__(self) -> str:
        return text(self)

    def has(self, field: str) -> bool:
        """Return whether a term that is not negated names this field."""
        return any(term.field == field and not term.negated for term in self.terms)

    def without(self, *fields: str) -> "Query":
        """Return the query without its terms about these fields."""
        return Query(tuple(term for term in self.terms if term.field not in fields))

    def with_term(self, field: str, value: str) -> "Query":
        return Query((*self.terms, Term(field, (Value(value),))))

    def each(self) -> "list[tuple[str, Query]]":
        """Return each value as text, with the query that is left without it."""
        rests = []
        for term in self.terms:
            for value, part in zip(term.values, parts(term), strict=True):
                left = tuple(other for other in term.values if other != value)
                rest = [msgspec.structs.replace(term, values=left) if other is term else other for other in self.terms]
                rests.append((part, Query(tuple(other for other in rest if other.values))))
        return rests


class QueryRefused(ValueError):
    """The text is not a query. `offers` are terms that could stand in place of `word`."""

    def __init__(self, message: str, *, position: int, word: str, offers: Iterable[str] = ()):
        self.message, self.position, self.word, self.offers = message, position, shown(word), list(offers)
        self._end = position - 1 + len(word)
        super().__init__(f"at character {position}, {self.word!r}: {message}")

    def mended(self, source: str) -> list[str]:
        """Return the refused text with each offer in place of the word."""
        return [f"{source[: self.position - 1]}{offer}{source[self._end :]}" for offer in self.offers]


def parse(source: str) -> Query:
    """Parse a query. Raises `QueryRefused`, which says where it stopped, at what, and what to write instead."""
    _check_text(source)
    terms: dict[Any, Term] = {}
    count = place = 0
    while (place := _skip_space(source, place)) < len(source):
        term, end = _term(source, place)
        earlier = terms.get(term.key)
        is_time = FIELDS.get(term.field, FIELDS["actor"]).kind == "time"
        if earlier is not None and is_time:
            _refuse(f"`{term.field}` stands twice: keep one of them", source, place, end)
        count += not is_time  # so that whatever is read can be narrowed to a time
        if count > MAX_VALUES:
            _refuse(f"at most {MAX_VALUES} terms are read beside those of time: leave some out", source, place, end)
        merged = dict.fromkeys((*earlier.values, *term.values)) if earlier else term.values
        terms[term.key] = Term(term.field, tuple(merged), term.negated, term.path)
        place = end
    return Query(tuple(terms.values()))


def text(query: Query) -> str:
    """Print a query as text that parses to the same query."""
    return " ".join(part for term in query.terms for part in parts(term))


def parts(term: Term) -> Iterator[str]:
    """Yield the text of each value of a term."""
    sign = "-" if term.negated else ""
    if term.field == ANY:
        yield from (f"{sign}{_word_text(value)}" for value in term.values)
        return
    name = ".".join([term.field, *(_key_text(key) for key in term.path)])
    for value in term.values:
        yield f"{sign}{name}:{_value_text(value)}"


def in_fields(query: Query) -> list[Query]:
    """Return the query with its words, which name no field, in each of the fields that they are looked for in."""
    if not any(term.field == ANY for term in query.terms):
        return []
    return [Query(_in_field(query, name)) for name in ANYWHERE if _fits_all(query, name)]


def _in_field(query: Query, name: str) -> tuple[Term, ...]:
    return tuple(msgspec.structs.replace(term, field=name) if term.field == ANY else term for term in query.terms)


def _fits_all(query: Query, name: str) -> bool:
    return name != "id" or all(_reads(UUID, term.values[0].text) for term in query.terms if term.field == ANY)


def scalars(text: str) -> list[Any]:
    """Return the number, truth value or null that a text may also mean in the data."""
    try:
        meaning = canonical.loads(text.encode()) if text == text.strip() else text
    except ValueError:
        return []
    return [meaning] if meaning is None or isinstance(meaning, bool | int | float) else []


def shown(word: str) -> str:
    """Return a word fit for a message: short, and without characters that reorder text."""
    plain = "".join(letter if letter.isprintable() else "�" for letter in word[: MAX_SHOWN + 1])
    return plain if len(plain) <= MAX_SHOWN else f"{plain[:MAX_SHOWN]}…"


_SPACE = re.compile(r"\s*")
_WORD = re.compile(r"\S+")
_KEY = r'(?:[^\s:."\\]+|"(?:[^"\\]|\\.)*")'
_HEAD = re.compile(rf"(-?)([A-Za-z_]+)((?:\.{_KEY})*):", re.DOTALL)
_KEYS = re.compile(rf"\.({_KEY})", re.DOTALL)
_BARE_KEY = re.compile(r'[^\s:."\\]+\Z')
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"(\*?)(?!\S)', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def _check_text(source: str) -> None:
    if len(source) > MAX_TEXT:
        message = f"the query has {len(source)} characters, at most {MAX_TEXT} are read: leave out some terms"
        raise QueryRefused(message, position=MAX_TEXT + 1, word=source[MAX_TEXT:])
    for position, letter in enumerate(source, start=1):
        if letter == "\x00" or "\ud800" <= letter <= "\udfff":
            message = f"contains U+{ord(letter):04X}, which no record can hold: leave it out"
            raise QueryRefused(message, position=position, word=letter)


def _skip_space(source: str, place: int) -> int:
    match = _SPACE.match(source, place)
    assert match is not None
    return match.end()


def _refuse(message: str, source: str, place: int, end: int, offers: Iterable[str] = ()) -> NoReturn:
    raise QueryRefused(message, position=place + 1, word=source[place:end], offers=offers)


def _term(source: str, place: int) -> tuple[Term, int]:
    """Parse the term at `place`; return it and where it ends."""
    head = _HEAD.match(source, place)
    if head is None:
        return _bare_word(source, place)
    negated, name, path = head[1] == "-", ALIASES.get(head[2], head[2]), tuple(map(_unquoted, _KEYS.findall(head[3])))
    value, quoted, end = _value(source, head.end(), place)
    if name not in FIELDS and name != DATA:
        _unknown(source, place, end, head)
    try:
        _check_name(name, path, negated)
        return Term(name, (_checked(name, value, quoted),), negated, path), end
    except ValueError as error:
        _refuse(str(error), source, place, end)


def _value(source: str, place: int, start: int) -> tuple[Value, bool, int]:
    """Parse the value at `place`; return it, whether it was quoted, and where it ends."""
    if source[place : place + 1] == '"':
        match = _QUOTED.match(source, place)
        if match is None:
            message = 'the quotation does not end: close it with ", and write \\" for a quote inside'
            _refuse(message, source, start, len(source))
        return Value(_unescaped(match[1]), prefix=match[2] == "*"), True, match.end()
    match = _WORD.match(source, place)
    if match is None:
        name = source[start:place]
        _refuse(f'the value is missing: write {name}word, or {name}"" for an empty one', source, start, place)
    word = match[0]
    return Value(word.removesuffix("*"), prefix=word.endswith("*")), False, match.end()


def _check_name(name: str, path: tuple[str, ...], negated: bool) -> None:
    if name == DATA and not path:
        raise ValueError("name the member of the event's data: data.namespace:prod")
    if name == DATA and len(path) > canonical.MAX_DEPTH:
        raise ValueError(f"data is at most {canonical.MAX_DEPTH} levels deep")
    if name != DATA and path:
        raise ValueError(f"`{name}` has no members: write {name}:value, or data.member:value")
    if negated and name != DATA and FIELDS[name].kind == "time":
        raise ValueError(f"a time cannot be negated: turn {name}: into its opposite, after: or before:")


def _checked(name: str, value: Value, quoted: bool) -> Value:
    kind = FIELDS[name].kind if name != DATA else "data"
    if not quoted and "*" in value.text:
        raise ValueError('`*` stands for any ending, at the end alone: quote the value ("a*b") if the star is meant')
    if value.prefix and kind not in ("text", "address"):
        raise ValueError(f"`{name}` is looked up whole: leave out the `*`, or quote it")
    if value.prefix and not value.text:
        raise ValueError("this asks for anything at all: leave the term out")
    return _CHECKS[kind](name, value, quoted)


def _checked_uuid(name: str, value: Value, quoted: bool) -> Value:
    try:
        return Value(str(UUID(value.text)))
    except ValueError:
        raise ValueError(f"`{name}` takes the id of an event, a UUID: {FIELDS[name].example}") from None


def _checked_address(name: str, value: Value, quoted: bool) -> Value:
    if value.prefix:
        return Value(spellings.read_network(value.text), prefix=True)
    try:
        return Value(str(spellings.read_address(value.text)))
    except ValueError:
        raise ValueError(
            f"`{name}` takes an IPv4 or IPv6 address, without port or zone: {FIELDS[name].example}"
        ) from None


def _checked_outcome(name: str, value: Value, quoted: bool) -> Value:
    if value.text not in OUTCOMES:
        raise ValueError(f"the outcome of an event is {', '.join(OUTCOMES[:-1])} or {OUTCOMES[-1]}")
    return value


def _checked_time(name: str, value: Value, quoted: bool) -> Value:
    try:
        times.read_day(value.text) if name == "on" else times.read_time(value.text)
    except ValueError as error:
        raise ValueError(f"{value.text!r} {error}") from None
    return value


_CHECKS: dict[str, Callable[[str, Value, bool], Value]] = {
    "text": lambda name, value, quoted: value,
    "uuid": _checked_uuid,
    "address": _checked_address,
    "outcome": _checked_outcome,
    "time": _checked_time,
    "data": lambda name, value, quoted: Value(value.text, only_text=quoted and bool(scalars(value.text))),
}


def _unknown(source: str, place: int, end: int, head: re.Match[str]) -> NoReturn:
    near = difflib.get_close_matches(head[2].lower(), [*FIELDS, *ALIASES, DATA], n=2, cutoff=0.7)
    names = list(dict.fromkeys(ALIASES.get(name, name) for name in near))
    offers = [f"{head[1]}{name}:{source[head.end() : end]}" for name in names if name != DATA]
    hint = f"did you mean {' or '.join(f'`{name}`' for name in names)}?" if names else f"fields: {', '.join(FIELDS)}"
    _refuse(f"there is no field `{shown(head[2])}`; {hint}", source, place, end, offers)


def _bare_word(source: str, place: int) -> tuple[Term, int]:
    """Parse a word that names no field. A time, an address or an outcome is refused: it is none of `ANYWHERE`."""
    negated = source[place] == "-"
    start = place + negated
    if not _WORD.match(source, start):
        _refuse("a word to leave out is missing after the dash", source, place, place + 1)
    value, quoted, end = _value(source, start, place)
    if not quoted:
        if _is_operator(value):
            offers = [f'{source[place:start]}"{value.text}"']
            _refuse(f"{OPERATORS[value.text]}. Quoted it is the word itself", source, place, end, offers)
        if fields := _meant(value.text):
            sign = "-" if negated else ""
            offers = [sign + next(parts(Term(name, (Value(value.text),)))) for name in fields]
            _refuse(f"say in which field, such as {offers[0]}", source, place, end, offers)
        if "*" in value.text:
            message = '`*` stands for any ending, at the end alone: quote the word ("a*b") if the star is meant'
            _refuse(message, source, place, end)
    if not value.text:
        _refuse("this asks for anything at all: leave it out", source, place, end)
    return Term(ANY, (value,), negated), end


def _is_operator(value: Value) -> bool:
    return value.text in OPERATORS and not value.prefix


def _meant(word: str) -> list[str]:
    """Return the fields that a bare word is surely meant for; none where it may be a name or an id."""
    if _reads(ip_address, word):
        return ["ip", "actor"]
    if _reads(times.read_day, word):
        return ["on", "after", "before"]
    if _reads(times.read_time, word):
        return ["after", "before"]
    return ["outcome"] if word in OUTCOMES else []


def _reads(read: Any, word: str) -> bool:
    try:
        read(word)
    except ValueError:
        return False
    return True


def _unquoted(key: str) -> str:
    return _unescaped(key[1:-1]) if key.startswith('"') else key


def _unescaped(quoted: str) -> str:
    return _ESCAPED.sub(r"\1", quoted)


def _quoted(plain: str) -> str:
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _key_text(key: str) -> str:
    return key if _BARE_KEY.match(key) and key.isprintable() else _quoted(key)


def _word_text(value: Value) -> str:
    """Return a bare word, quoted where it would be read as something else."""
    bare = _value_text(value)
    is_plain = bare[0] == '"' or not (bare[0] == "-" or _HEAD.match(bare) or _meant(value.text) or _is_operator(value))
    return bare if is_plain else _quoted(value.text) + "*" * value.prefix


def _value_text(value: Value) -> str:
    plain = value.text
    bare = plain and plain.isprintable() and plain[0] != '"' and not set(" *") & set(plain) and not value.only_text
    return (plain if bare else _quoted(plain)) + "*" * value.prefix
