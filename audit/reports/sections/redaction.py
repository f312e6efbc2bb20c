"""redaction: the rules that held at the end of a period, and which bundles left under them or without."""

from typing import Any, NamedTuple

from audit.reports.figures import Figure, Section, TableRow, counted, listing, needed, out_of_scope
from audit.reports.snapshot import Act, Snapshot

CHANGED = ("audit.redaction.created", "audit.redaction.changed")
LEFT = ("audit.export.asked", "audit.export.answered")
MAX_ACTS, MAX_ROWS, CELL_CHARS = 10_000, 60, 200
LABELS = {
    "rules": "Rules of redaction in force at its end",
    "changed": "Rules made, changed or switched off",
    "redacted": "Bundles and answers that were redacted",
    "unredacted": "Bundles asked for without redaction",
}


class RecordedRule(NamedTuple):
    act: Act
    rule: dict[str, Any]


def section(snapshot: Snapshot) -> Section:
    in_force = rules_in_force(snapshot)
    columns = ("rule", "path", "types", "method", "reason", "since, by")
    rows = [_row(recorded) for recorded in in_force]
    return Section(
        key="redaction",
        title="Redaction",
        says="Rules say what is taken out of records that leave in bundles, how and why; each change of one is a "
        "record, and so is who asked for a bundle without them. What is stored is not changed by a rule.",
        figures=_figures(snapshot, in_force) if snapshot.sees_store_acts else out_of_scope(LABELS),
        tables=(listing("Rules in force at the end", columns, rows, MAX_ROWS),),
    )


def rules_in_force(snapshot: Snapshot) -> list[RecordedRule]:
    """The rules that are active at the end of the period, by name."""
    newest: dict[str, RecordedRule] = {}
    for act in reversed(snapshot.acts(*CHANGED, limit=MAX_ACTS, from_start=True)):
        rule = act.data.get("after")
        newest[str(act.data.get("name"))] = RecordedRule(act, rule if isinstance(rule, dict) else {})
    return [newest[name] for name in sorted(newest) if newest[name].rule.get("active")]


def _figures(snapshot: Snapshot, in_force: list[RecordedRule]) -> tuple[Figure, ...]:
    left = snapshot.acts(*LEFT, limit=MAX_ACTS)
    redacted = sum(bool(act.data.get("rules")) for act in left)
    unredacted = sum(bool(act.data.get("unredacted")) for act in left)
    changes = [f"type:{event_type}" for event_type in CHANGED]
    lacking = "No rule of redaction was in force at the end of this period."
    ever = " ".join([*changes, f"before:{snapshot.day_after}"])
    of_redacted = snapshot.query(*(f"type:{event_type}" for event_type in LEFT))
    of_unredacted = snapshot.query("type:audit.export.asked", "data.unredacted:true")
    return (
        needed("rules", LABELS["rules"], len(in_force), lacking, query=ever),
        counted("changed", LABELS["changed"], snapshot.count(*CHANGED), query=snapshot.query(*changes)),
        counted("redacted", LABELS["redacted"], redacted, query=of_redacted),
        counted("unredacted", LABELS["unredacted"], unredacted, query=of_unredacted),
    )


def _row(recorded: RecordedRule) -> TableRow:
    act, rule = recorded
    cells = (
        str(act.data.get("name")),
        str(rule.get("path", ""))[:CELL_CHARS],
        str(rule.get("event_type") or "all"),
        str(rule.get("method", "")),
        str(rule.get("reason", ""))[:CELL_CHARS],
        f"{act.at:%Y-%m-%d}, {act.actor}",
    )
    return TableRow(cells, f"id:{act.id}")
