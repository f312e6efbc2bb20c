"""Run attacks and compare what became of them with what must."""

from dataclasses import dataclass

import psycopg

from tests.attacks.catalogue import Attack
from tests.attacks.removals import Kept
from tests.attacks.scene import Scene, check_ids, seal, verdict


@dataclass(frozen=True)
class Outcome:
    """What became of an attack."""

    prevented: bool = False
    alone: str = ""
    anchored: str = ""
    witnessed: str = ""
    checks: frozenset[str] = frozenset()
    refuses: bool = False

    def fits(self, attack: Attack) -> bool:
        """Whether it is what must become of it."""
        if attack.prevented:
            return self.prevented
        return (
            not self.prevented
            and _is(self.alone, attack.alone)
            and _is(self.anchored, attack.with_anchor)
            and _is(self.witnessed, attack.with_witness)
            and self.checks == ({attack.check} if attack.check else set())
            and self.refuses == attack.refuses
        )


def run(attack: Attack, scene: Scene) -> Outcome:
    """The attack three times, against a store without anything outside, one with an anchor, one with a witness."""
    verdicts = []
    checks: frozenset[str] = frozenset()
    refuses = False
    for anchor, witness in ((None, False), (scene.anchor, False), (None, True)):
        with scene.outside(anchor=anchor, witness=witness), scene.fresh() as superuser:
            try:
                attack.act(superuser, scene)
            except (psycopg.Error, Kept):
                if attack.prevented:
                    return Outcome(prevented=True)
                raise
            verdicts.append(verdict())
            if not (anchor or witness):
                checks = frozenset(check_ids())
                refuses = isinstance(seal(), str)
    return Outcome(False, *verdicts, checks, refuses)


def _is(found: str, wanted: str) -> bool:
    return found.partition(" (")[0] == wanted
