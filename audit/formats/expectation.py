"""Rules about events that must come, and the events that satisfy them.

`ExpectationRule` validates the admin's form and packs alike. Whether an event came in time is judged by the times that
events carry, in whatever order they arrive; whether the store waited long enough, by when they arrived.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

import msgspec
from msgspec import Meta

from audit.errors import Invalid
from audit.formats import canonical, times
from audit.formats.event import MAX_AHEAD, SealedEvent

MAX_WITHIN_S = 90 * 86_400
MAX_TYPES = 50
DAY = timedelta(days=1)
ANYTHING = "*"

Kind = Literal["followed", "has", "rate"]
Slug = Annotated[str, Meta(min_length=1, max_length=50, pattern=r"^[a-z0-9][a-z0-9-]*$(?!\n)")]
Pattern = Annotated[
    str, Meta(min_length=1, max_length=100, pattern=r"^(\*|[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)*(\.\*)?)$(?!\n)")
]
Patterns = Annotated[list[Pattern], Meta(max_length=MAX_TYPES)]
Words = Annotated[str, Meta(max_length=1_000)]


class ExpectationRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One expectation, as a person or a pack states it."""

    name: Slug
    kind: Kind
    why: Annotated[str, Meta(min_length=1, max_length=1_000)]
    expect_types: Annotated[list[Pattern], Meta(min_length=1, max_length=MAX_TYPES)]
    when_types: Patterns = []
    writer: Annotated[str, Meta(max_length=100)] = ""
    category: Annotated[str, Meta(max_length=50)] = ""
    within_s: Annotated[int, Meta(ge=1, le=MAX_WITHIN_S)] | None = None
    least: Annotated[int, Meta(ge=1, le=1_000_000_000)] | None = None
    active: bool = True
    inactive_because: Words = ""


class RulePack(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pack: Slug
    expectations: list[ExpectationRule]


class Wait(NamedTuple):
    """What one event obliges the store to wait for."""

    subject: str
    key: str  # what tells it from others of the same rule and subject
    writer: str
    began_by: UUID
    since: datetime
    due_at: datetime
    ripe_at: datetime  # from then on it may be missed: it is due, and what began it is here


class AnswerEvent(NamedTuple):
    at: datetime
    id: UUID


def read(document: Any) -> ExpectationRule:
    """A rule out of JSON. Raises `Invalid` naming the field at fault."""
    if not isinstance(document, dict):
        raise Invalid({"": "expected a JSON object, one expectation"})
    try:
        rule = msgspec.convert(document, ExpectationRule)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$.")
        raise Invalid({path.rstrip("`").partition("[")[0]: message}) from None
    if errors := dict(_faults(rule)):
        raise Invalid(errors)
    return rule


def read_pack(data: bytes) -> RulePack:
    """A pack out of the bytes of a file. Raises `Invalid` naming rule and field: it is taken whole, or not at all."""
    try:
        document = canonical.loads(data)
    except ValueError as error:
        raise Invalid({"": f"is no JSON: {error}"}) from None
    if not isinstance(document, dict) or not isinstance(document.get("expectations"), list):
        raise Invalid({"": 'expected {"pack": NAME, "expectations": [ ... ]}'})
    rules: list[ExpectationRule] = []
    errors: dict[str, str] = {}
    for place, entry in enumerate(document["expectations"]):
        try:
            rules.append(read(entry))
        except Invalid as error:
            name = entry.get("name", "") if isinstance(entry, dict) else ""
            errors |= {f"expectations[{place}] {name}: {field}": text for field, text in error.errors.items()}
    names = [rule.name for rule in rules]
    errors |= {f"{name}: name": "another rule has it" for name in names if names.count(name) > 1}
    if errors:
        raise Invalid(errors)
    try:
        msgspec.convert(document, RulePack)
    except msgspec.ValidationError as error:
        raise Invalid({"": str(error)}) from None
    return RulePack(pack=document["pack"], expectations=rules)


def fits(patterns: Iterable[str], event_type: str) -> bool:
    return any(
        event_type == pattern or (pattern.endswith("*") and event_type.startswith(pattern[:-1])) for pattern in patterns
    )


def split(patterns: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the whole types among the patterns, and the prefixes of types."""
    listed = list(patterns)
    whole = [pattern for pattern in listed if not pattern.endswith("*")]
    return whole, [pattern[:-1] for pattern in listed if pattern.endswith("*")]


def begins(rule: ExpectationRule, event: SealedEvent, *, own: str) -> bool:
    """Return whether an event makes the rule wait for another. Events of the writer `own` do only where it is named."""
    return (
        rule.kind != "rate"
        and fits(rule.when_types or [ANYTHING], event.event_type)
        and (event.writer == rule.writer if rule.writer else event.writer != own)
        and rule.category in ("", event.category)
    )


def counts(rule: ExpectationRule, event: SealedEvent) -> bool:
    return (
        rule.kind == "rate"
        and event.writer == rule.writer
        and fits(rule.expect_types, event.event_type)
        and rule.category in ("", event.category)
    )


def wait(rule: ExpectationRule, version: int, event: SealedEvent) -> Wait:
    """Return what an event makes the rule wait for: a wait an event with `followed`, one a correlation with `has`."""
    due_at = event.at + timedelta(seconds=rule.within_s or 0)
    key = event.id.hex if rule.kind == "followed" else f"v{version}"
    return Wait(event.correlation, key, event.writer, event.id, event.at, due_at, max(due_at, event.stored_at))


def first_answer(
    kind: str, since: datetime, began_by: UUID | None, answers: Sequence[AnswerEvent]
) -> AnswerEvent | None:
    """Return the first answer (in order) that satisfies the rule; for `followed` one after the event that began it."""
    if kind == "has":
        return answers[0] if answers else None
    start = bisect_left(answers, since, key=lambda answer: answer.at)
    return next((answer for answer in islice(answers, start, None) if answer.id != began_by), None)


def in_time(kind: str, due_at: datetime, answer: AnswerEvent) -> bool:
    """Return whether the answer happened before it was due. For `has` it may happen at any time."""
    return kind == "has" or answer.at <= due_at


def day_of(at: datetime) -> date:
    return at.astimezone(UTC).date()


def day_bounds(day: date) -> tuple[datetime, datetime]:
    """Return the first moment of a day, and of the next."""
    return times.midnight(day), times.midnight(day) + DAY


def first_whole_day(now: datetime) -> date:
    """Return the first day of which every event is still to come: a clock may be ahead by `MAX_AHEAD`."""
    return day_of(now + MAX_AHEAD) + DAY


def words(rule: ExpectationRule) -> str:
    wanted, of = " or ".join(rule.expect_types), f" of the writer {rule.writer}" if rule.writer else ""
    narrow = of + (f" in the category {rule.category}" if rule.category else "")
    if rule.kind == "rate":
        return f"at least {rule.least:,} of {wanted} each day (UTC){narrow}"
    began, span = " or ".join(rule.when_types or [ANYTHING]), span_words(rule.within_s or 0)
    if rule.kind == "has":
        which = "" if began == ANYTHING else f" with {began}"
        return f"every correlation{which}{narrow} has {wanted}, {span} after it began"
    return f"{began}{narrow} is followed by {wanted} with the same correlation within {span}"


def span_words(seconds: float) -> str:
    """Return `90 s`, `15 min`, `2 h` or `3 days`, in the largest unit that is exact."""
    for unit, length in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length and seconds % length == 0 and not (unit == "days" and seconds == length):
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s"


_NEEDS = {
    "followed": (("when_types", "within_s"), ("least",)),
    "has": (("within_s",), ("least",)),
    "rate": (("writer", "least"), ("when_types", "within_s")),
}


def _faults(rule: ExpectationRule) -> Iterator[tuple[str, str]]:
    needed, meaningless = _NEEDS[rule.kind]
    for field in needed:
        if not getattr(rule, field):
            yield field, f"a rule of the kind {rule.kind!r} needs it"
    for field in meaningless:
        if getattr(rule, field):
            yield field, f"means nothing to a rule of the kind {rule.kind!r}: leave it out"
    if not rule.active and not rule.inactive_because.strip():
        yield "inactive_because", "a rule that is not active needs a reason"
    for field in ("why", "writer", "category", "inactive_because"):
        try:
            canonical.canonical({"": getattr(rule, field)})
        except ValueError as error:
            yield field, str(error)
