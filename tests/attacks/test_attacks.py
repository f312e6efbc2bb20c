"""Every attack of the catalogue is prevented or detected as it says, and nothing honest raises an alarm."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from audit.ledger import verify
from tests.attacks.catalogue import ATTACKS as OF_THE_LOG
from tests.attacks.catalogue import Attack
from tests.attacks.files import TAMPERINGS, Tampering, run_tampering
from tests.attacks.forger import FORGERIES, Forgery, run_forgery
from tests.attacks.honest import HONEST
from tests.attacks.removals import REMOVALS
from tests.attacks.run import run
from tests.attacks.scene import Scene

pytestmark = pytest.mark.slow
ATTACKS = [*OF_THE_LOG, *REMOVALS]


def test_there_are_enough_attacks_each_named_once() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 25


def sampled(acts: Sequence[Any], fate: Callable[[Any], Any]) -> list[Any]:
    """All of them; those whose fate an earlier one shares are left to `make test-long`."""
    earlier = [{fate(other) for other in acts[:place]} for place in range(len(acts))]
    return [
        pytest.param(act, id=act.name, marks=[pytest.mark.long] if fate(act) in before else [])
        for act, before in zip(acts, earlier, strict=True)
    ]


def fate_of_attack(attack: Attack) -> Any:
    verdicts = attack.alone, attack.with_anchor, attack.with_witness
    return attack.prevented, *verdicts, bool(attack.check)


@pytest.mark.parametrize("attack", sampled(ATTACKS, fate_of_attack))
def test_the_attack_ends_as_the_catalogue_says(scene: Scene, attack: Attack) -> None:
    outcome = run(attack, scene)
    assert outcome.fits(attack), outcome


@pytest.mark.parametrize("forgery", sampled(FORGERIES, lambda forgery: forgery.fate))
def test_the_forger_with_redis_makes_no_record(scene: Scene, forgery: Forgery, tmp_path: Path) -> None:
    assert run_forgery(forgery, scene, tmp_path) == forgery.fate


@pytest.mark.parametrize("tampering", sampled(TAMPERINGS, lambda tampering: tampering.fate))
def test_a_file_that_was_changed_deceives_nobody(scene: Scene, tampering: Tampering, tmp_path: Path) -> None:
    assert run_tampering(tampering, scene, tmp_path) == tampering.fate


def test_what_cannot_be_detected_says_why() -> None:
    for attack in ATTACKS:
        undetected = not attack.prevented and not attack.check and attack.alone == "VERIFIED"
        assert bool(attack.why) is undetected, attack.name


@pytest.mark.parametrize("act", HONEST.values(), ids=HONEST.keys())
def test_nothing_honest_raises_an_alarm(scene: Scene, act: Callable[[Any, Scene], None]) -> None:
    with scene.outside(anchor=scene.anchor, witness=True), scene.fresh() as superuser:
        act(superuser, scene)
        found = verify.verify()
        assert found.verdict == "VERIFIED"
        assert found.findings.count() == 0


def test_the_documentation_shows_the_matrix() -> None:
    page = (Path(__file__).parent.parent.parent / "docs" / "attacks.md").read_text(encoding="utf-8")
    from tests.attacks.__main__ import markdown, markdown_of_forgeries, markdown_of_tamperings

    assert markdown() in page
    assert markdown_of_forgeries() in page
    assert markdown_of_tamperings() in page
