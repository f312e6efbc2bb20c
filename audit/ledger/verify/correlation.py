"""Verify the records of one correlation: recompute each, and prove each to be under the newest checkpoint."""

from collections.abc import Iterator
from uuid import UUID

from audit import visibility
from audit.errors import LogDamaged, NotSealed
from audit.formats import merkle
from audit.ledger import reader
from audit.ledger.keys import Keys
from audit.ledger.verify import checkpoints, waiting
from audit.ledger.verify.records import COLUMNS, OTHER_ENTRY, Checked, check_each
from audit.ledger.verify.result import CUT_SHORT, RunReport, Verdict
from audit.models import Finding

CHUNK = 1000
OTHERS = (
    "Whether other records of this correlation were removed does not show from those that are here: "
    "a verification of the whole log shows every record that is gone."
)
LATE = (
    "The time was over before all records of this correlation were checked, in the order of their times: "
    "nothing is said of the later ones. `manage.py verify --correlation ID` takes the time that it needs."
)
PAGE = f"""
SELECT coalesce(l.index, -1), r.id, coalesce(l.leaf_hash, ''), {COLUMNS}
FROM audit_record r LEFT JOIN audit_leaf l ON l.record_id = r.id
WHERE r.correlation_id = %s AND (r.event_timestamp, r.id) > (%s::timestamptz, %s) {{within}}
ORDER BY r.event_timestamp, r.id LIMIT %s
"""


def check(report: RunReport, keys: Keys, correlation_id: str, using: str) -> None:
    """Check what the store has of a correlation, and report what that cannot show.

    Where the report's time is over before the end, that is left out: a run of a correlation has no place to go on from.
    """
    size, root = 0, b""
    try:
        head = reader.signed_head(using)
        size, root = head.size, bytes(head.root)
        checkpoints.check_head(report, keys, head, using)
    except NotSealed as error:
        report.leave_out(str(error))
    for rows in _pages(correlation_id, using):
        _check(report, rows, size, root, using)
        # A page that is full may be followed by another. What was found in it is said.
        if len(rows) == CHUNK and report.is_late:
            report.count(CUT_SHORT)
            report.leave_out(LATE)
            break
    if missing := Finding.objects.still_so().filter(kind=Verdict.MISSING.value).count():
        report.leave_out(
            f"{missing} records or leaves of the log are known to be gone: some may be of this correlation."
        )
    report.leave_out(OTHERS)
    if visibility.scopes():
        report.leave_out(
            "Only what who asked may see was looked at: records of other writers or categories may be there."
        )


def _pages(correlation_id: str, using: str) -> Iterator[list[Checked]]:
    place: tuple[str, UUID] = ("-infinity", UUID(int=0))
    within, parameters = visibility.sql_condition("r")
    while rows := check_each(PAGE.format(within=within), [correlation_id, *place, *parameters, CHUNK], using):
        visibility.note_read(row.record_id for row in rows)
        yield rows
        place = (rows[-1].event_timestamp, rows[-1].record_id)


def _check(report: RunReport, rows: list[Checked], size: int, root: bytes, using: str) -> None:
    """Recompute each record; prove those that are what they were, all of a page by the hashes of one statement."""
    same = []
    for row in rows:
        if row.leaf_index < 0:
            continue
        if row.leaf_index >= size:  # what was sealed since the head was read is under none that is checked here
            _count_unsealed(report)
            _check_change(report, row, row.fault)
            continue
        report.count("records")
        if row.fault is not None:
            what = "is not whole" if row.is_lost else "was changed"
            _find(report, row, f"{what}: {row.fault}.", Verdict.MISSING if row.is_lost else Verdict.ALTERED)
        else:
            same.append(row)
    for row, proof in zip(same, _proofs([row.leaf_index for row in same], size, using), strict=True):
        try:
            if isinstance(proof, LogDamaged):
                raise proof
            merkle.verify_inclusion(row.leaf_hash, row.leaf_index, size, proof, root)
        except (merkle.ProofError, LogDamaged) as error:
            _find(report, row, f"is not in the signed log: {error}")
    _check_waiting(report, [row for row in rows if row.leaf_index < 0], using)


def _proofs(indexes: list[int], size: int, using: str) -> list[list[bytes] | LogDamaged]:
    """The proof of each leaf, or why there is none."""
    try:
        return [*reader.inclusions(indexes, size, using)]
    except LogDamaged:
        return [_proof(index, size, using) for index in indexes]


def _proof(index: int, size: int, using: str) -> list[bytes] | LogDamaged:
    try:
        return reader.inclusion(index, size, using)
    except LogDamaged as error:
        return error


def _find(report: RunReport, row: Checked, what: str, verdict: Verdict = Verdict.ALTERED) -> None:
    detail = f"The record of leaf {row.leaf_index} {what}"
    report.find(verdict, "record", detail, record_id=row.record_id, index=row.leaf_index)


def _count_unsealed(report: RunReport) -> None:
    report.count("unsealed")
    report.leave_out("Some records of this correlation are not sealed yet.")


def _check_change(report: RunReport, row: Checked, fault: str | None) -> None:
    if fault is not None:
        detail = f"The record was changed before it was sealed: {fault}."
        report.find(Verdict.ALTERED, "record", detail, record_id=row.record_id)


def _check_waiting(report: RunReport, rows: list[Checked], using: str) -> None:
    """Compare records with what the sealer was given when they were stored: nothing in the log shows them yet."""
    looked = waiting.look([row.record_id for row in rows], using)
    for row in rows:
        _count_unsealed(report)
        given = looked.hashes.get(row.record_id)
        if given is None and looked.is_all:
            detail = "This record has no leaf and does not wait for one: it came into the table past the store."
            report.find(Verdict.UNKNOWN, "record", detail, record_id=row.record_id)
            continue
        if given is None:
            report.leave_out(waiting.unlooked("Some of them"))
        _check_change(report, row, row.fault or (OTHER_ENTRY if given not in (None, row.leaf_hash) else None))
