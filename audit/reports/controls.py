"""controls: what the figures of a report say of each control of a pack. Pure: no Django."""

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from audit.reports.figures import Figure, Section
from audit.reports.packs import Control, Pack

Verdict = Literal["shown", "partly", "not shown"]


class ControlResult(msgspec.Struct, frozen=True, kw_only=True):
    pack: str
    id: str
    gist: str
    verdict: Verdict
    # How many of its figures say that something was wrong.
    exceptions: int
    # What is not shown, and why.
    why: str
    # The key of the section, and its figure.
    evidence: tuple[tuple[str, Figure], ...]


def judge(packs: Iterable[Pack], sections: Sequence[Section]) -> list[ControlResult]:
    figures = {
        f"{section.key}.{figure.key}": (section.key, figure) for section in sections for figure in section.figures
    }
    return [
        # A report of an earlier version has not all sections; which names there are at all is checked with the pack.
        _judge(pack, control, [figures[name] for name in control.evidence if name in figures])
        for pack in packs
        for control in pack.controls
    ]


def _judge(pack: Pack, control: Control, evidence: Sequence[tuple[str, Figure]]) -> ControlResult:
    missing = [figure for _, figure in evidence if figure.state == "none"]
    reasons = dict.fromkeys([figure.note for figure in missing] + ([control.not_shown] if control.not_shown else []))
    verdict: Verdict = "partly" if reasons else "shown"
    if len(missing) == len(evidence):
        verdict = "not shown"
    return ControlResult(
        pack=pack.pack,
        id=control.id,
        gist=control.gist,
        verdict=verdict,
        exceptions=sum(figure.state == "exception" for _, figure in evidence),
        why=" ".join(reasons),
        evidence=tuple(evidence),
    )
