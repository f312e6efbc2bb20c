"""legal_holds: which correlations were held, on whose word and until when, from the sealed records of both acts."""

from typing import NamedTuple

from audit.reports.figures import Figure, Row, Table, counted
from audit.reports.snapshot import OUTSIDE, Act, Basis

KEYS = ("holds", "holds_placed", "holds_released")
PLACED, RELEASED = "audit.hold.placed", "audit.hold.released"
MOST, NAMED, CELL = 10_000, 50, 200
LABELS = {
    "holds": "Legal holds in force at its end",
    "holds_placed": "Legal holds placed",
    "holds_released": "Legal holds released",
}


class Held(NamedTuple):
    """One hold, as far as the period and the checkpoint know of it."""

    placed: Act
    released: Act | None


def held(basis: Basis) -> list[Held]:
    """All that were placed until the end of the period, the newest first."""
    acts = basis.listed(PLACED, RELEASED, most=MOST, from_start=True)
    ends = {one.data.get("hold"): one for one in acts if one.event_type == RELEASED}
    return [Held(one, ends.get(one.data.get("hold"))) for one in acts if one.event_type == PLACED]


def figures(basis: Basis, found: list[Held]) -> tuple[Figure, ...]:
    """How many, each with the records that say so."""
    if not basis.sees_own:
        return tuple(Figure(key=key, label=LABELS[key], value="—", state="none", note=OUTSIDE) for key in KEYS)
    in_force = sum(one.released is None for one in found)
    placed = sum(one.placed.at >= basis.begins for one in found)
    released = sum(one.released is not None and one.released.at >= basis.begins for one in found)
    ever = f"type:{PLACED} type:{RELEASED} before:{basis.day_after}"
    return (
        counted("holds", LABELS["holds"], in_force, query=ever),
        counted("holds_placed", LABELS["holds_placed"], placed, query=basis.query(f"type:{PLACED}")),
        counted("holds_released", LABELS["holds_released"], released, query=basis.query(f"type:{RELEASED}")),
    )


def table(basis: Basis, found: list[Held]) -> Table:
    """Those in force at the end of the period, and those that were released in it."""
    told = [one for one in found if one.released is None or one.released.at >= basis.begins]
    rows = [
        Row(
            (
                one.placed.resource,
                f"{one.placed.at:%Y-%m-%d %H:%M}Z, {one.placed.actor}",
                str(one.placed.data.get("reason", ""))[:CELL],
                _end(one.released),
            ),
            f"id:{one.placed.id}",
        )
        for one in told[:NAMED]
    ]
    columns = ("correlation", "placed", "reason", "released")
    left = max(len(told) - NAMED, 0)
    return Table(caption="Legal holds, the newest first", columns=columns, rows=tuple(rows), left_off=left)


def _end(act: Act | None) -> str:
    if act is None:
        return "in force"
    return f"{act.at:%Y-%m-%d %H:%M}Z, {act.actor}: {str(act.data.get('reason', ''))[:CELL]}"
