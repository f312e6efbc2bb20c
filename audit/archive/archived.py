"""archived: look for records that were read back from archives: what the viewer may see, without what is redacted."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from audit import visibility
from audit.errors import Invalid
from audit.evidence import redaction
from audit.formats import grammar
from audit.models import ArchivedRecord
from audit.search import cost, filters
from audit.search.query import older_than

PER_PAGE = 50
SEARCH_MS = 2_000


class Shown(NamedTuple):
    """An archived record as a viewer sees it: `record` without what is redacted, and the rule at each such path."""

    archive_id: UUID
    leaf_index: int
    at: datetime
    record: dict[str, Any]
    redacted: dict[str, str]


class ShownPage(NamedTuple):
    rows: list[Shown]
    more: bool


def find(
    text: str, *, archive: UUID | None = None, after: tuple[datetime, UUID] | None = None, unredacted: bool = False
) -> ShownPage:
    """Return a page of the archived records that match a query, newest first, after a place.

    Raises `Invalid` where the query cannot be read, no index serves it, it takes too long, or it asks by what is
    redacted for this viewer.
    """
    now = datetime.now(UTC)
    try:
        query = grammar.parse(text)
        rows = ArchivedRecord.objects.all() if archive is None else ArchivedRecord.objects.filter(archive_id=archive)
        cost.check(query, now, among=rows)
    except ValueError as error:
        raise Invalid({"q": str(error)}) from None
    rules = [] if unredacted else redaction.in_force()
    redaction.refuse(query, rules)
    matches = rows.filter(filters.where(query, now)).order_by("-event_timestamp", "-id")
    if after is not None:
        matches = matches.filter(older_than(*after))
    try:
        with cost.reading(milliseconds=SEARCH_MS):
            found = list(matches.defer("event_data")[: PER_PAGE + 1])
    except cost.TookTooLong:
        raise Invalid({"q": "this takes too long: narrow it by time, or to an archive"}) from None
    for record in found:
        record.without_data()  # a list does not show it, and fifty may be long
    visibility.note_shown(record.pk for record in found[:PER_PAGE])
    return ShownPage(list(_shown(found[:PER_PAGE], rules)), len(found) > PER_PAGE)


def at_leaf(archive: UUID, leaf_index: int, *, unredacted: bool = False) -> Shown | None:
    """Return the archived record at a leaf of an archive; None where it is not there, or not for this viewer."""
    found = ArchivedRecord.objects.filter(archive_id=archive, leaf_index=leaf_index).first()
    rules = [] if unredacted else redaction.in_force()
    return None if found is None else next(_shown([found], rules))


def _shown(found: list[ArchivedRecord], rules: list[dict[str, Any]]) -> Iterator[Shown]:
    redactor = redaction.redactor_of(rules, "archived records")
    for row in found:
        record = row.as_json()
        named = {} if redactor is None else redactor.redact(record)
        yield Shown(row.archive_id, row.leaf_index, row.event_timestamp, record, named)
