"""purges: what was removed in a period, by whom and why, from the sealed records of the certificates."""

from audit.reports.figures import Figure, Table, TableRow, counted, listing, minute, out_of_scope
from audit.reports.snapshot import Snapshot

COMPLETED = "audit.purge.completed"
LABELS = {"purged": "Records removed by purges", "certificates": "Purges with a certificate"}
MAX_PURGES, MAX_ROWS, CELL_CHARS = 10_000, 50, 200


def figures(snapshot: Snapshot) -> tuple[Figure, ...]:
    if not snapshot.sees_store_acts:
        return out_of_scope(LABELS)
    certified, query = snapshot.acts(COMPLETED, limit=MAX_PURGES), snapshot.query(f"type:{COMPLETED}")
    removed = sum(int(act.data.get("records", 0)) for act in certified)
    return (
        counted("purged", LABELS["purged"], removed, query=query),
        counted("certificates", LABELS["certificates"], len(certified), query=query),
    )


def table(snapshot: Snapshot) -> Table:
    """Those that were certified in the period, the newest first."""
    rows = [
        TableRow(
            (
                f"{act.data.get('request')}, {minute(act.at)}",
                f"{int(act.data.get('records', 0)):,}",
                str(act.data.get("reason", ""))[:CELL_CHARS],
                f"{act.data.get('asked_by')}, approved by {act.data.get('approved_by')}",
            ),
            f"id:{act.id}",
        )
        for act in snapshot.acts(COMPLETED, limit=MAX_PURGES)
    ]
    return listing("Purges, the newest first", ("purge", "records", "reason", "requested by"), rows, MAX_ROWS)
