"""compare: of what manifests state, how much came by now?

Many are compared by one statement: what a writer leaves open costs others no round trips.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from django.db.models import F, Func, IntegerField, OuterRef, Q, QuerySet, Subquery, Window
from django.db.models.functions import RowNumber

from audit import visibility
from audit.models import Manifest, Rhythm
from audit.postgres import sql

# Events that a manifest may state.
MAX_EVENTS = 100_000
# Open manifests that one run compares, and how long each may go uncompared while its writer is silent.
MAX_COMPARED = 1_000
COMPARED_EVERY = timedelta(hours=1)
# What one statement compares: so many manifests, so many events that are known to belong to them, and so many more of
# each. What has come to more than that is compared alone, up to `MOST` events.
AT_ONCE, EVENTS_AT_ONCE, MORE_OF_EACH = 200, 20_000, 100
MOST = 2 * MAX_EVENTS
# Of which more came than that, so many are compared by one statement, up to their share of `MOST` each.
LARGE_AT_ONCE = 20
# Events of one writer that a run reads, until it has read them: what more of its manifests ask for, later runs read.
MOST_OF_A_WRITER = 5 * MOST
# Bytes of an empty list of ids in its column; one id alone takes more.
NO_IDS_SIZE = 20

# Called with what is counted, how many of it are done, and of how many.
Progress = Callable[[str, int, int], None]

# Of each manifest what came: how many events, how many numbers, and the digests over their ids and contents. An epoch
# is compared or is NULL: only so does PostgreSQL use its index. `LIMIT`: each manifest looks into the index by itself.
_FOUND = """
count(id), count(DISTINCT source_seq),
    encode(sha256(coalesce(string_agg(id::text || E'\\n', '' ORDER BY id), '')::bytea), 'hex'),
    encode(sha256(coalesce(string_agg(digest, ''::bytea ORDER BY id), ''::bytea)), 'hex')
"""
_COMPARE = """
SELECT m.pk, found.* FROM unnest(%(pks)s::bigint[], %(writers)s::text[], %(epochs)s::text[], %(firsts)s::bigint[],
    %(lasts)s::bigint[], %(since)s::timestamptz[], %(until)s::timestamptz[], %(most)s::bigint[])
    AS m (pk, writer, epoch, first, last, since, until, most)
CROSS JOIN LATERAL (SELECT {found} FROM (
    SELECT {columns} FROM audit_record WHERE writer = m.writer AND {where} LIMIT m.most
) came) found
"""
_NUMBERED = "source_epoch = m.epoch AND source_seq BETWEEN m.first AND m.last"
_NUMBERED_BARE = "source_epoch IS NULL AND source_seq BETWEEN m.first AND m.last"
_IN_WINDOW = "event_timestamp >= m.since AND event_timestamp < m.until"
# What is read of each event, and what is made of it. Where no digest was stated the index alone says what came.
_DIGESTED = {"columns": "id, digest, source_seq", "found": _FOUND}
_OF_NUMBERS = {"columns": "source_seq", "found": "count(*), count(DISTINCT source_seq), '', ''"}
_OF_WINDOW = {"columns": "", "found": "count(*), 0, '', ''"}
# `OFFSET 0`: each id is looked up in its own month (see `sql.RECORD_OF_LEAF`).
_COMPARE_NAMED = f"""
SELECT m.pk, {_FOUND} FROM unnest(%(pks)s::bigint[], %(writers)s::text[], %(ids)s::uuid[]) AS m (pk, writer, wanted)
LEFT JOIN LATERAL (
    SELECT id, digest, source_seq FROM audit_record WHERE id = m.wanted AND writer = m.writer OFFSET 0
) came ON true GROUP BY m.pk
"""
# Of each writer the open ones that were compared longest ago, by the index: it may have left very many open.
_FIRST = """
SELECT first.id FROM (
    SELECT writer FROM audit_completenesscount WHERE kind = 'manifest' GROUP BY writer HAVING sum(open + explained) > 0
) AS stated CROSS JOIN LATERAL (
    SELECT id FROM audit_manifest WHERE writer = stated.writer AND closed_at IS NULL
    ORDER BY looked_at NULLS FIRST, id LIMIT %(most)s
) AS first
"""
# In one order, so that two that compare at once do not lock each other.
_SAVE = """
UPDATE audit_manifest SET came = now.came, surplus = now.surplus, agrees = now.agrees, looked_at = now.looked_at,
    closed_at = now.closed_at
FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::boolean[], %s::timestamptz[], %s::timestamptz[])
    AS now (id, came, surplus, agrees, looked_at, closed_at)
WHERE audit_manifest.id = now.id AND audit_manifest.id IN (
    SELECT id FROM audit_manifest WHERE id = ANY(%s) ORDER BY id FOR UPDATE)
"""


class _Came(NamedTuple):
    """The events of a manifest that came, the different numbers among them, and the digests over both."""

    came: int
    numbers: int
    ids_digest: str
    contents_digest: str


def compare(manifest: Manifest) -> None:
    """Compare one with what came by now. Raises database errors."""
    _compare_alone(manifest, Counter())


def compare_open(writers: Iterable[str], is_late: Callable[[], bool], progress: Progress | None = None) -> int:
    """Compare the open manifests of writers that were heard anew, and those that were not compared for an hour.

    Each writer in its turn, and of each those first that were compared longest ago, however many there are. Returns how
    many are left for a later run, of the first of each writer. Raises database errors.
    """
    heard, stale = Q(writer__in=set(writers)), Q(looked_at__lt=sql.now() - COMPARED_EVERY)
    first = [pk for (pk,) in sql.rows(_FIRST, {"most": 2 * MAX_COMPARED})]
    due = Manifest.objects.filter(heard | stale, pk__in=first)
    # Counted before: what is compared is due again as long as its writer is among those that were heard.
    count = due.count()
    return count - compare_all(in_turns(due)[:MAX_COMPARED], is_late, progress)


def stale(manifests: QuerySet[Manifest]) -> QuerySet[Manifest]:
    """Return those of which events may have been read since they were compared.

    What a run reads was stored before it: who compares later has seen it.
    """
    read_at = Rhythm.objects.filter(writer=OuterRef("writer")).values("read_at")
    known = manifests.annotate(read_at=Subquery(read_at))
    return known.exclude(looked_at__isnull=False, read_at__isnull=False, looked_at__gt=F("read_at"))


def in_turns(manifests: QuerySet[Manifest]) -> QuerySet[Manifest]:
    """Order manifests so that each writer has a first one before any has a second: none waits for another's many."""
    longest_ago = (F("looked_at").asc(nulls_first=True), F("pk").asc())
    turn = Window(RowNumber(), partition_by=[F("writer")], order_by=longest_ago)
    return manifests.annotate(turn=turn).order_by("turn", *longest_ago)


def compare_all(manifests: QuerySet[Manifest], is_late: Callable[[], bool], progress: Progress | None = None) -> int:
    """Compare these in their order until it is late, many by a statement. Returns how many. Raises database errors.

    Once a writer's have taken `MOST_OF_A_WRITER` events, its others are left for a later run.
    """
    # The ids that one names are as large as they are many, and not read for this.
    size = Func(F("event_ids"), function="pg_column_size", output_field=IntegerField())
    rows = list(manifests.annotate(size=size).values_list("pk", "count", "came", "surplus", "size"))
    events = {pk: count if size > NO_IDS_SIZE else came + surplus for pk, count, came, surplus, size in rows}
    compared, spent = 0, Counter[str]()
    for pks in _portions(events):
        if is_late():
            break
        found = Manifest.objects.in_bulk(pks)
        portion = [found[pk] for pk in pks if spent[found[pk].writer] < MOST_OF_A_WRITER]
        compared += _compare_portion(portion, is_late, spent)
        if progress:
            progress("manifests", compared, len(rows))
    return compared


def read(statement: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Return what a statement says of the records of writers, as the system sees them. Raises database errors."""
    with visibility.as_system():
        return sql.rows(statement, parameters, using="reader")


def _portions(events: Mapping[int, int]) -> Iterator[list[int]]:
    """Yield manifests, by how many events each is known to have, as one statement may compare them; at least one."""
    portion: list[int] = []
    total = 0
    for pk, known in events.items():
        if portion and (len(portion) == AT_ONCE or total + known > EVENTS_AT_ONCE):
            yield portion
            portion, total = [], 0
        portion.append(pk)
        total += known
    if portion:
        yield portion


def _compare_portion(portion: Sequence[Manifest], is_late: Callable[[], bool], spent: Counter[str]) -> int:
    """Compare these, and by statements of their own those of which more came than was known. Returns how many."""

    def most(manifest: Manifest) -> int:
        return min(manifest.came + manifest.surplus + MORE_OF_EACH, MOST)

    found = _look(portion, most, spent)
    # A statement that stopped at its limit has not seen all of a manifest.
    large = [each for each in portion if not each.event_ids and found[each.pk].came >= most(each) < MOST]
    alone = {each.pk for each in large}
    _save([(each, found[each.pk]) for each in portion if each.pk not in alone])
    compared = len(portion) - len(large)
    for first in range(0, len(large), LARGE_AT_ONCE):
        compared += _compare_large(large[first : first + LARGE_AT_ONCE], is_late, spent)
    return compared


def _compare_large(large: Sequence[Manifest], is_late: Callable[[], bool], spent: Counter[str]) -> int:
    """Compare these, and each alone of which still more came, until it is late. Returns how many.

    To plan a statement for all months takes longer than to count some thousands of events.
    """
    most = MOST // LARGE_AT_ONCE
    rest = [manifest for manifest in large if spent[manifest.writer] < MOST_OF_A_WRITER]
    if is_late() or not rest:
        return 0
    found = _look(rest, lambda _: most, spent)
    whole = [each for each in rest if found[each.pk].came < most]
    _save([(each, found[each.pk]) for each in whole])
    compared = len(whole)
    for manifest in rest:
        if is_late():
            break
        if found[manifest.pk].came >= most and spent[manifest.writer] < MOST_OF_A_WRITER:
            _compare_alone(manifest, spent)
            compared += 1
    return compared


def _compare_alone(manifest: Manifest, spent: Counter[str]) -> None:
    _save([(manifest, _look([manifest], lambda _: MOST, spent)[manifest.pk])])


def _look(portion: Sequence[Manifest], most: Callable[[Manifest], int], spent: Counter[str]) -> dict[int, _Came]:
    """Return what came of each, by its key: a statement for all that name their events in one way.

    Adds to `spent` how many events of each writer were read.
    """
    kinds: dict[str, list[Manifest]] = defaultdict(list)
    for manifest in portion:
        kinds[_statement(manifest)].append(manifest)
    named = kinds.pop("", [])
    rows = [row for statement, alike in kinds.items() for row in read(statement, _of(alike, most))]
    if named:
        pairs = [(each.pk, each.writer, event_id) for each in named for event_id in each.event_ids]
        pks, writers, ids = map(list, zip(*pairs, strict=True))
        rows += read(_COMPARE_NAMED, {"pks": pks, "writers": writers, "ids": ids})
    found = {pk: _Came(*values) for pk, *values in rows}
    for each in portion:
        spent[each.writer] += max(found[each.pk].came, len(each.event_ids))
    return found


def _of(alike: Sequence[Manifest], most: Callable[[Manifest], int]) -> dict[str, Any]:
    """The columns of manifests, as parameters."""
    return {
        "pks": [each.pk for each in alike],
        "writers": [each.writer for each in alike],
        "epochs": [each.epoch for each in alike],
        "firsts": [each.first_seq for each in alike],
        "lasts": [each.last_seq for each in alike],
        "since": [each.since for each in alike],
        "until": [each.until for each in alike],
        "most": [most(each) for each in alike],
    }


def _statement(manifest: Manifest) -> str:
    """Return what compares all that name their events in this way; "" where it is by their ids."""
    digested = manifest.ids_digest or manifest.contents_digest
    if manifest.first_seq is not None:
        where, counted = _NUMBERED if manifest.epoch else _NUMBERED_BARE, _OF_NUMBERS
    elif manifest.event_ids:
        return ""
    else:
        where, counted = _IN_WINDOW, _OF_WINDOW
    return _COMPARE.format(where=where, **(_DIGESTED if digested else counted))


def _save(compared: Sequence[tuple[Manifest, _Came]]) -> None:
    """Judge manifests by what came of them, and keep it."""
    if not compared:
        return
    now = sql.now()
    for manifest, (came, numbers, ids, contents) in compared:
        manifest.came = numbers if manifest.first_seq is not None else came
        manifest.surplus = max(came - manifest.count, 0)
        digests = [(manifest.ids_digest, ids), (manifest.contents_digest, contents)]
        same = all(said in ("", is_now) for said, is_now in digests)
        manifest.agrees = manifest.came == manifest.count == came and same
        manifest.looked_at = now
        manifest.closed_at = (manifest.closed_at or now) if manifest.agrees else None
    rows = [(each.pk, each.came, each.surplus, each.agrees, now, each.closed_at) for each, _ in compared]
    sql.run(_SAVE, [*map(list, zip(*rows, strict=True)), [each.pk for each, _ in compared]])
