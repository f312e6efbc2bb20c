"""redaction: the rules that held at the end of a period, and which bundles left under them or without."""

from typing import Any, NamedTuple

from audit.reports.figures import Figure, Row, Section, Table, counted, needed
from audit.reports.snapshot import OUTSIDE, Act, Basis

KEYS = ("rules", "changed", "redacted", "unredacted")
CHANGED = ("audit.redaction.created", "audit.redaction.changed")
LEFT = ("audit.export.asked", "audit.export.answered")
MOST, NAMED, CELL = 10_000, 60, 200
LABELS = {
    "rules": "Rules of redaction in force at its end",
    "changed": "Rules made, changed or switched off",
    "redacted": "Bundles and answers that were redacted",
    "unredacted": "Bundles asked for without redaction",
}


class Kept(NamedTuple):
    """A rule as its last record has it."""

    act: Act
    rule: dict[str, Any]


def section(basis: Basis) -> Section:
    """Personal data that leaves the store."""
    found = kept(basis)
    return Section(
        key="redaction",
        title="Redaction",
        says="Rules say what is taken out of records that leave in bundles, how and why; each change of one is a "
        "record, and so is who asked for a bundle without them. What is stored is not changed by a rule.",
        figures=_figures(basis, found) if basis.sees_own else _outside(),
        tables=(_table(found),),
    )


def kept(basis: Basis) -> list[Kept]:
    """The rules that are active at the end of the period, by name."""
    newest: dict[str, Kept] = {}
    for act in reversed(basis.listed(*CHANGED, most=MOST, from_start=True)):
        rule = act.data.get("after")
        newest[str(act.data.get("name"))] = Kept(act, rule if isinstance(rule, dict) else {})
    return [newest[name] for name in sorted(newest) if newest[name].rule.get("active")]


def _figures(basis: Basis, found: list[Kept]) -> tuple[Figure, ...]:
    left = basis.listed(*LEFT, most=MOST)
    redacted = sum(bool(act.data.get("rules")) for act in left)
    unredacted = sum(bool(act.data.get("unredacted")) for act in left)
    changes = [f"type:{kind}" for kind in CHANGED]
    lacking = "No rule of redaction was in force at the end of this period."
    ever = " ".join([*changes, f"before:{basis.day_after}"])
    of_redacted = basis.query(*(f"type:{kind}" for kind in LEFT))
    of_whole = basis.query("type:audit.export.asked", "data.unredacted:true")
    return (
        needed("rules", LABELS["rules"], len(found), lacking, query=ever),
        counted("changed", LABELS["changed"], basis.count(*CHANGED), query=basis.query(*changes)),
        counted("redacted", LABELS["redacted"], redacted, query=of_redacted),
        counted("unredacted", LABELS["unredacted"], unredacted, query=of_whole),
    )


def _outside() -> tuple[Figure, ...]:
    return tuple(Figure(key=key, label=LABELS[key], value="—", state="none", note=OUTSIDE) for key in KEYS)


def _table(found: list[Kept]) -> Table:
    rows = [
        Row(
            (
                str(one.act.data.get("name")),
                str(one.rule.get("path", ""))[:CELL],
                str(one.rule.get("event_type") or "all"),
                str(one.rule.get("method", "")),
                str(one.rule.get("reason", ""))[:CELL],
                f"{one.act.at:%Y-%m-%d}, {one.act.actor}",
            ),
            f"id:{one.act.id}",
        )
        for one in found[:NAMED]
    ]
    columns = ("rule", "path", "types", "method", "reason", "since, by")
    left = max(len(found) - NAMED, 0)
    return Table(caption="Rules in force at the end", columns=columns, rows=tuple(rows), left_off=left)
