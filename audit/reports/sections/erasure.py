"""erasure: what was asked for in a period, approved, refused and erased, from the sealed records of these acts."""

from audit.reports.figures import Figure, Section, TableRow, counted, listing, minute, out_of_scope
from audit.reports.snapshot import Act, Snapshot

ASKED, APPROVED, REFUSED, DONE = (f"audit.erasure.{act}" for act in ("asked", "approved", "refused", "done"))
MAX_ACTS, MAX_ROWS, CELL_CHARS = 10_000, 60, 200
LABELS = {
    "asked": "Erasures asked for",
    "approved": "Erasures approved by a second person",
    "refused": "Erasures refused",
    "erased": "Values erased",
    "held": "Records that kept everything under a legal hold",
}


def section(snapshot: Snapshot) -> Section:
    acts = snapshot.acts(APPROVED, REFUSED, DONE, limit=MAX_ACTS)
    columns = ("erasure", "act", "when, by", "legal basis", "ground, or what was erased")
    return Section(
        key="erasure",
        title="Erasure",
        says="One person asks for an erasure, a second approves or refuses it; each act is a record. The values go, "
        "the digests of their records stay and verify. Backups, archives and bundles that left are not reached by it.",
        figures=_figures(snapshot, acts) if snapshot.sees_store_acts else out_of_scope(LABELS),
        tables=(listing("Decisions and erasures, the newest first", columns, [_row(act) for act in acts], MAX_ROWS),),
    )


def _figures(snapshot: Snapshot, acts: list[Act]) -> tuple[Figure, ...]:
    done = [act for act in acts if act.event_type == DONE]
    of_done = snapshot.query(f"type:{DONE}")
    counts = tuple(
        counted(key, LABELS[key], snapshot.count(event_type), query=snapshot.query(f"type:{event_type}"))
        for key, event_type in (("asked", ASKED), ("approved", APPROVED), ("refused", REFUSED))
    )
    return (
        *counts,
        counted("erased", LABELS["erased"], sum(int(act.data.get("erased") or 0) for act in done), query=of_done),
        counted("held", LABELS["held"], sum(int(act.data.get("held") or 0) for act in done), query=of_done),
    )


def _row(act: Act) -> TableRow:
    cells = (
        str(act.data.get("request")),
        act.event_type.rpartition(".")[2],
        f"{minute(act.at)}, {act.actor}",
        str(act.data.get("basis", ""))[:CELL_CHARS],
        _outcome(act)[:CELL_CHARS],
    )
    return TableRow(cells, f"id:{act.id}")


def _outcome(act: Act) -> str:
    if act.event_type == DONE:
        return f"{act.data.get('erased', 0)} values, {act.data.get('held', 0)} records held"
    return str(act.data.get("ground") or "")
