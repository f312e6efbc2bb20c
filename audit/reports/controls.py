"""controls: what the figures of a report say of each control of a pack. Pure: no Django."""

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from audit.reports.figures import Figure, Section
from audit.reports.packs import Control, Pack

Verdict = Literal["shown", "partly", "not shown"]


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A control, and whether there is evidence for it."""

    pack: str
    id: str
    gist: str
    verdict: Verdict
    exceptions: int
    """How many of its figures say that something was wrong."""
    why: str
    """What is not shown, and why."""
    evidence: tuple[tuple[str, Figure], ...]
    """The key of the section, and its figure."""


def judge(packs: Iterable[Pack], sections: Sequence[Section]) -> list[Judged]:
    """Every control of the packs."""
    known = {f"{one.key}.{figure.key}": (one.key, figure) for one in sections for figure in one.figures}
    return [
        _judged(pack, control, [known[name] for name in control.evidence])
        for pack in packs
        for control in pack.controls
    ]


def _judged(pack: Pack, control: Control, evidence: Sequence[tuple[str, Figure]]) -> Judged:
    bare = [figure for _, figure in evidence if figure.state == "none"]
    reasons = dict.fromkeys([figure.note for figure in bare] + ([control.not_shown] if control.not_shown else []))
    verdict: Verdict = "partly" if reasons else "shown"
    if len(bare) == len(evidence):
        verdict = "not shown"
    return Judged(
        pack=pack.pack,
        id=control.id,
        gist=control.gist,
        verdict=verdict,
        exceptions=sum(figure.state == "exception" for _, figure in evidence),
        why=" ".join(reasons),
        evidence=tuple(evidence),
    )
