"""legal_holds: what was held, by whom and until when, from the sealed records of both acts."""

from typing import NamedTuple

from audit.reports.figures import Figure, Table, TableRow, counted, listing, minute, out_of_scope
from audit.reports.snapshot import Act, Snapshot

PLACED, RELEASED = "audit.hold.placed", "audit.hold.released"
MAX_ACTS, MAX_ROWS, CELL_CHARS = 10_000, 50, 200
# Before, holds were on correlations alone.
TELLS_QUERIES = 3
LABELS = {
    "holds": "Legal holds in force at its end",
    "holds_placed": "Legal holds placed",
    "holds_released": "Legal holds released",
}


class RecordedHold(NamedTuple):
    """A hold, as far as the period and the checkpoint know of it."""

    placed: Act
    released: Act | None


def holds(snapshot: Snapshot) -> list[RecordedHold]:
    """All that were placed until the end of the period, newest first."""
    acts = snapshot.acts(PLACED, RELEASED, limit=MAX_ACTS, from_start=True)
    released = {act.data.get("hold"): act for act in acts if act.event_type == RELEASED}
    return [RecordedHold(act, released.get(act.data.get("hold"))) for act in acts if act.event_type == PLACED]


def figures(snapshot: Snapshot, recorded: list[RecordedHold]) -> tuple[Figure, ...]:
    if not snapshot.sees_store_acts:
        return out_of_scope(LABELS)
    in_force = sum(hold.released is None for hold in recorded)
    placed = sum(hold.placed.at >= snapshot.begins for hold in recorded)
    released = sum(hold.released is not None and hold.released.at >= snapshot.begins for hold in recorded)
    ever = f"type:{PLACED} type:{RELEASED} before:{snapshot.day_after}"
    return (
        counted("holds", LABELS["holds"], in_force, query=ever),
        counted("holds_placed", LABELS["holds_placed"], placed, query=snapshot.query(f"type:{PLACED}")),
        counted("holds_released", LABELS["holds_released"], released, query=snapshot.query(f"type:{RELEASED}")),
    )


def table(snapshot: Snapshot, recorded: list[RecordedHold]) -> Table:
    """Those in force at the end of the period, and those that were released in it."""
    rows = [
        TableRow(
            (
                str(hold.placed.data.get("query") or hold.placed.resource)[:CELL_CHARS],
                f"{minute(hold.placed.at)}, {hold.placed.actor}",
                _reason(hold.placed),
                _end(hold.released),
            ),
            f"id:{hold.placed.id}",
        )
        for hold in recorded
        if hold.released is None or hold.released.at >= snapshot.begins
    ]
    columns = ("correlation" if snapshot.version < TELLS_QUERIES else "held", "placed", "reason", "released")
    return listing("Legal holds, the newest first", columns, rows, MAX_ROWS)


def _end(act: Act | None) -> str:
    return "in force" if act is None else f"{minute(act.at)}, {act.actor}: {_reason(act)}"


def _reason(act: Act) -> str:
    return str(act.data.get("reason", ""))[:CELL_CHARS]
