"""integrity: what was verified, what was found, and which witnesses cosigned the log."""

from collections import Counter
from typing import NamedTuple

from audit.errors import LogDamaged
from audit.ledger import reader
from audit.models import Finding
from audit.postgres import sql
from audit.reports.figures import Drawing, Figure, Section, State, Table, TableRow, needed, wrong
from audit.reports.snapshot import COUNTS_FORGOTTEN, Snapshot

KEYS = ("runs", "checked", "failed", "findings", "checkpoints", "root", "cosignatures", "witnesses")
_COSIGNED = """
SELECT name, count(*), max(checkpoint) FROM audit_cosignature
WHERE checkpoint >= %s AND checkpoint < %s AND attested_at <= %s GROUP BY name ORDER BY name
"""
# Those that are kept, and those that were counted when they were removed: of whole days, for what a report read stays.
_RUNS = """
SELECT scope, verdict, sum(runs)::bigint, sum(records)::bigint FROM (
    SELECT scope, verdict, count(*) AS runs, coalesce(sum((counts ->> 'records')::bigint), 0) AS records
    FROM audit_verification WHERE ended_at >= %(begins)s AND ended_at <= %(until)s GROUP BY scope, verdict
    UNION ALL
    SELECT scope, verdict, runs, records
    FROM audit_forgottenruns WHERE %(counts_forgotten)s AND day >= %(first)s AND day <= %(last)s
) counted GROUP BY scope, verdict ORDER BY scope COLLATE "C", verdict COLLATE "C"
"""


class RunCount(NamedTuple):
    """How many verifications of a scope ended with a verdict, and how many records they computed anew."""

    scope: str
    verdict: str
    runs: int
    records: int


def section(snapshot: Snapshot) -> Section:
    runs = _runs(snapshot)
    verdicts = Counter[str]()
    for count in runs:
        verdicts[count.verdict] += count.runs
    numbers = tuple(verdicts[name] for name in sorted(verdicts))
    return Section(
        key="integrity",
        title="Integrity",
        says="Each record is a leaf of one log (RFC 6962) whose head is signed. Verifying computes digests, leaves"
        " and roots anew from what the database returns; the schedule does so with what is new and, bit by "
        "bit, with all. The root of the checkpoint of this report was computed again from the hashes that are"
        " kept, while it was made.",
        figures=(*_verified(snapshot, runs), *_signed(snapshot)),
        tables=(_table(runs), _witnesses(snapshot)),
        drawings=(Drawing(title="Verdicts", names=tuple(sorted(verdicts)), numbers=numbers),),
    )


def _runs(snapshot: Snapshot) -> list[RunCount]:
    parameters = {
        **{"begins": snapshot.begins, "until": snapshot.until, "first": snapshot.first, "last": snapshot.last},
        "counts_forgotten": snapshot.version >= COUNTS_FORGOTTEN,
    }
    return [RunCount(*row) for row in sql.rows(_RUNS, parameters)]


def _verified(snapshot: Snapshot, runs: list[RunCount]) -> list[Figure]:
    page = "audit/verification/"
    ended = sum(count.runs for count in runs)
    failed = sum(count.runs for count in runs if count.verdict not in ("VERIFIED", "NOT COVERED"))
    checked = sum(count.records for count in runs)
    new_findings = Finding.objects.filter(first_seen__gte=snapshot.begins, first_seen__lte=snapshot.until).count()
    return [
        needed("runs", "Verifications that ended", ended, "No verification ended in this period.", page=page),
        needed("checked", "Records recomputed by them", checked, "No record was recomputed in this period.", page=page),
        wrong("failed", "Verifications that found something wrong", failed, page=f"{page}?verdict__exact=ALTERED"),
        wrong("findings", "Findings seen for the first time", new_findings, page="audit/finding/"),
    ]


def _signed(snapshot: Snapshot) -> list[Figure]:
    first, last = snapshot.numbers
    witnesses = _cosigned(snapshot)
    cosignatures = sum(count for _, count, _ in witnesses)
    lacking = "No witness cosigned a checkpoint of this period: who has the key of the log has to be trusted."
    page = "audit/checkpoint/"
    return [
        needed("checkpoints", "Signed heads of the log", last - first, "No head was signed in this period.", page=page),
        _root(snapshot),
        needed("cosignatures", "Cosignatures of witnesses", cosignatures, lacking, page=page),
        needed("witnesses", "Witnesses that cosigned", len(witnesses), lacking, page=page),
    ]


def _root(snapshot: Snapshot) -> Figure:
    page = f"audit/checkpoint/{snapshot.checkpoint.number}/change/"
    label = "The kept hashes lead to the signed root"
    try:
        fits = reader.root(snapshot.size, "default") == bytes(snapshot.checkpoint.root)
    except LogDamaged as error:
        return Figure(key="root", label=label, value="no", state="exception", page=page, note=str(error))
    state: State = "shown" if fits else "exception"
    return Figure(key="root", label=label, value="yes" if fits else "no", state=state, page=page)


def _cosigned(snapshot: Snapshot) -> list[tuple[str, int, int]]:
    return sql.rows(_COSIGNED, [*snapshot.numbers, snapshot.at])


def _table(runs: list[RunCount]) -> Table:
    rows = tuple(TableRow(tuple(count)) for count in runs)
    return Table(caption="Verifications", columns=("scope", "verdict", "runs", "records"), rows=rows)


def _witnesses(snapshot: Snapshot) -> Table:
    rows = tuple(TableRow((name, count, f"checkpoint {newest}")) for name, count, newest in _cosigned(snapshot))
    return Table(caption="Witnesses", columns=("witness", "cosignatures", "the newest"), rows=rows)
