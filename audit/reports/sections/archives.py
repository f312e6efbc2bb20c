"""archives: what was archived and checked in a period, from sealed records, and the last archive of all."""

from audit.reports.figures import Figure, State, counted, minute, out_of_scope
from audit.reports.snapshot import Snapshot

CREATED, CHECKED = "audit.archive.created", "audit.archive.checked"
LABELS = {"archives": "Archives made", "archive_checks": "Checks of archives", "archive_last": "The last archive"}
MAX_ACTS = 10_000


def figures(snapshot: Snapshot) -> tuple[Figure, ...]:
    if not snapshot.sees_store_acts:
        return out_of_scope(LABELS)
    made = snapshot.acts(CREATED, limit=MAX_ACTS)
    return (
        counted("archives", LABELS["archives"], len(made), query=snapshot.query(f"type:{CREATED}")),
        _checks(snapshot),
        _last(snapshot),
    )


def _checks(snapshot: Snapshot) -> Figure:
    checks = snapshot.acts(CHECKED, limit=MAX_ACTS)
    bad = sum(check.data.get("verdict") != "VERIFIED" for check in checks)
    return Figure(
        key="archive_checks",
        label=LABELS["archive_checks"],
        value=len(checks),
        state="exception" if bad else "shown",
        query=snapshot.query(f"type:{CHECKED}"),
        note=f"{bad:,} of them said something else than VERIFIED." if bad else "",
    )


def _last(snapshot: Snapshot) -> Figure:
    """The newest archive up to the end of the period, whenever it was made."""
    found = snapshot.acts(CREATED, limit=1, from_start=True)
    state: State = "shown" if found else "none"
    label, page = LABELS["archive_last"], "audit/archive/"
    if not found:
        return Figure(key="archive_last", label=label, value="—", state=state, page=page, note="There is no archive.")
    first, last = int(found[0].data.get("first", 0)), int(found[0].data.get("last", 0))
    value = f"leaves {first:,} to {last - 1:,}, made {minute(found[0].at)}"
    note = f"In {str(found[0].data.get('folder', ''))[:200]}."
    return Figure(key="archive_last", label=label, value=value, state=state, query=f"id:{found[0].id}", note=note)
