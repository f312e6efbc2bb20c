"""counts: how many findings and numbers each writer has, kept as they are written, so that no page adds them up.

Triggers write what each statement changed as rows of their own (`audit/sql/0079_completenesscount.sql`): the rows of a
kind, writer and rule add up to what is so now, and nobody waits for another's. `fold` puts rows together. When findings
were found is known by the hour for two days, by the day for a month, and not after that, of those alone that are open.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import Q, QuerySet, Sum

from audit import visibility
from audit.completeness.coverage import hour_of
from audit.formats import times
from audit.models import BrokenPromise, CompletenessCount, Gap, Manifest, Numbering, Unmet
from audit.postgres import sql

# Of each there is a trigger, and an index of what is not counted yet.
COUNTED = (Numbering, Gap, Manifest, BrokenPromise, Unmet)
HOURS_KEPT, DAYS_KEPT = timedelta(days=2), timedelta(days=32)
# Rows that one statement folds, and that one adds to the counts; and how often a run adds.
FOLDED, ADDED, PORTIONS = 100_000, 5_000, 20
_FIGURES = ("open", "explained", "every", "missing", "missing_explained", "numbered", "reused")
_SUMS = {f"{name}_sum": Sum(name) for name in _FIGURES}
# The hour, the day or nothing, by the age; and nothing where none is open: only of what is, a page asks since when.
_SLOT = """
CASE WHEN hour >= %(hours)s THEN hour WHEN hour >= %(days)s THEN date_trunc('day', hour, 'UTC') END
"""
_SUMMED = ", ".join(f"sum({name}) AS {name}" for name in _FIGURES)
# A portion in the order of writers, so that rows of a key meet, however many keys there are; what is alone in its key
# is not locked, and what another folds meanwhile is left to it. What adds up to nothing is dropped. Sums are of what is
# gone, which may be less than was seen. Returns where the next portion begins, with a writer that this one may have cut
# in two; nothing where the portion was not full.
_FOLD = f"""
WITH portion AS (
    SELECT * FROM audit_completenesscount
    WHERE (writer, id) > (%(writer)s, %(after)s) AND (%(until)s::text IS NULL OR writer < %(until)s::text)
    ORDER BY writer, id LIMIT %(most)s
), slots AS (
    SELECT array_agg(id) AS ids FROM (
        SELECT *, CASE WHEN sum(open) OVER (PARTITION BY kind, writer, rule, aged) <> 0 THEN aged END AS slot
        FROM (SELECT *, {_SLOT} AS aged FROM portion) AS by_age
    ) AS placed
    GROUP BY kind, writer, rule, slot HAVING count(*) > 1 OR bool_or(hour IS DISTINCT FROM slot)
), gone AS (
    DELETE FROM audit_completenesscount WHERE id IN (
        SELECT id FROM audit_completenesscount WHERE id IN (SELECT unnest(ids) FROM slots) FOR UPDATE SKIP LOCKED
    ) RETURNING *
), by_age AS (
    SELECT kind, writer, rule, {_SLOT} AS aged, {_SUMMED} FROM gone GROUP BY kind, writer, rule, aged
), folded AS (
    INSERT INTO audit_completenesscount (kind, writer, rule, hour, {", ".join(_FIGURES)})
    SELECT * FROM (
        SELECT kind, writer, rule, CASE WHEN open <> 0 THEN aged END AS slot, {_SUMMED}
        FROM by_age GROUP BY kind, writer, rule, slot
    ) AS sums WHERE ({", ".join(_FIGURES)}) <> ({", ".join("0" for _ in _FIGURES)})
)
SELECT writer, CASE WHEN writer <> (SELECT min(writer) FROM portion) THEN 0 ELSE id END
FROM portion ORDER BY writer, id OFFSET %(most)s - 1
"""
# The writer of a row that is chosen by chance.
_SOMEBODY = """
SELECT writer FROM audit_completenesscount WHERE id >= (
    SELECT min(id) + floor(random() * (max(id) - min(id) + 1))::bigint FROM audit_completenesscount
) ORDER BY id LIMIT 1
"""
# The trigger counts what is set.
_ADD = """
UPDATE {table} SET counted = true WHERE id IN (
    SELECT id FROM {table} WHERE NOT counted ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED)
"""
_IS_LEFT = " UNION ALL ".join(f"(SELECT FROM {kind._meta.db_table} WHERE NOT counted LIMIT 1)" for kind in COUNTED)


class Figures(NamedTuple):
    """What is so of a kind of finding, or of numbers."""

    open: int = 0
    explained: int = 0
    every: int = 0
    missing: int = 0
    missing_explained: int = 0
    numbered: int = 0
    reused: int = 0


def fold(is_late: Callable[[], bool]) -> None:
    """Put the rows of each kind, writer, rule and time together; count some of what was there before an upgrade.

    Of the rows all, until it is late; of what is to be counted at most `PORTIONS` of each kind. Safe in several
    processes at once. Raises database errors.
    """
    for table in [kind._meta.db_table for kind in COUNTED] if is_counting() else []:
        for _ in range(PORTIONS):
            if sql.run(_ADD.format(table=table), [ADDED]) < ADDED or is_late():
                break
    _fold_all(is_late)


def _fold_all(is_late: Callable[[], bool]) -> None:
    """Begin with a writer by chance and go round: where no run has time for all, each writer has its turn."""
    now = sql.now()
    kept = {"hours": hour_of(now - HOURS_KEPT), "days": times.midnight((now - DAYS_KEPT).date()), "most": FOLDED}
    for (somebody,) in sql.rows(_SOMEBODY):
        for start, until in ((somebody, None), ("", somebody)):
            place = [(start, 0)]
            while place:
                [(writer, after)] = place
                place = sql.rows(_FOLD, {**kept, "writer": writer, "after": after, "until": until})
                if is_late():
                    return


_is_all_counted = False


def is_counting() -> bool:
    """Whether something of before an upgrade is not counted yet: what is said of the rest is too little.

    Once all is, it stays so, and a process asks no more: to find that nothing is left PostgreSQL may read all there is.
    """
    global _is_all_counted
    if not _is_all_counted:
        _is_all_counted = not sql.rows(f"SELECT 1 FROM ({_IS_LEFT}) AS uncounted LIMIT 1")
    return not _is_all_counted


def of_writers() -> Iterator[tuple[str, str, Figures]]:
    """Return what is so of each writer that the viewer may see: its name, the kind, and the figures."""
    rows = _visible().values_list("writer", "kind").annotate(**_SUMS)
    return ((writer, kind, Figures(*figures)) for writer, kind, *figures in rows)


def of_kinds() -> dict[str, Figures]:
    """Return of each kind what is so of all writers that the viewer may see."""
    return {kind: Figures(*figures) for kind, *figures in _visible().values_list("kind").annotate(**_SUMS)}


def open_since(moments: Sequence[datetime]) -> dict[str, list[int]]:
    """Return of each kind how many that are open were found since each of these times; then how many are.

    A time is the beginning of an hour of the last two days, or of a day of the last month: see the module.
    """
    spans = {f"since_{n}": Sum("open", filter=Q(hour__gte=moment), default=0) for n, moment in enumerate(moments)}
    rows = _visible().values_list("kind").annotate(**spans, whole=Sum("open"))
    return {kind: counts for kind, *counts in rows}


def open_by_rule() -> list[tuple[int, str, int]]:
    """Return the expectations that are not met, nor explained: of each rule and writer how many the viewer may see."""
    unmet = _visible().filter(kind=kind_of(Unmet)).values_list("rule", "writer")
    return list(unmet.annotate(open_sum=Sum("open")).filter(open_sum__gt=0))


def kind_of(model: type) -> str:
    """Return what a kind of finding is called in the counts."""
    return str(model.__name__).lower()


def _visible() -> QuerySet[CompletenessCount]:
    return visibility.visible_totals(CompletenessCount.objects.all()).order_by()
