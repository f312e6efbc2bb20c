"""`make attacks`: run every attack against a real PostgreSQL and a real Redis, and print the matrix.

`--every 20` runs each twentieth of them alone. Exit status 0 when all is as it must be.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import django
from django.core.management import call_command
from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests import servers

servers.start()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "auditsite.settings")
django.setup()

from audit.ledger import verify  # noqa: E402
from tests.attacks.catalogue import ATTACKS as OF_THE_LOG  # noqa: E402
from tests.attacks.catalogue import Attack  # noqa: E402
from tests.attacks.files import TAMPERINGS, run_tampering  # noqa: E402
from tests.attacks.forger import FORGERIES, run_forgery  # noqa: E402
from tests.attacks.honest import HONEST  # noqa: E402
from tests.attacks.removals import REMOVALS  # noqa: E402
from tests.attacks.run import run  # noqa: E402
from tests.attacks.scene import Scene  # noqa: E402

ATTACKS = [*OF_THE_LOG, *REMOVALS]


def detected_by(attack: Attack) -> tuple[str, str, str]:
    """What becomes of an attack: without anything outside, with an anchor, with a witness."""
    if attack.prevented:
        return ("prevented",) * 3
    if attack.check:
        found = f"check {attack.check}" + (f", {attack.alone}" if attack.alone != "VERIFIED" else "")
        return (found,) * 3
    verdicts = (attack.alone, attack.with_anchor, attack.with_witness)
    alone, anchor, witness = (verdict.replace("VERIFIED", "not detected") for verdict in verdicts)
    return alone, anchor, witness


def markdown() -> str:
    """The matrix as docs/attacks.md has it."""
    lines = [
        "| attack | the store alone | with an anchor | with a witness | the sealer | remark |",
        "|---|---|---|---|---|---|",
    ]
    for attack in ATTACKS:
        cells = [attack.name, *detected_by(attack), "refuses to sign" if attack.refuses else "", attack.why]
        lines.append(f"| {' | '.join(cells)} |".replace("  ", " "))
    return "\n".join(lines) + "\n"


def markdown_of_forgeries() -> str:
    """What becomes of a forger with Redis' password, as docs/attacks.md has it."""
    lines = ["| act of the forger | what becomes of it |", "|---|---|"]
    lines += [f"| {forgery.name} | {forgery.fate} |" for forgery in FORGERIES]
    return "\n".join(lines) + "\n"


def markdown_of_tamperings() -> str:
    """What is said of files outside the store that somebody changed, as docs/attacks.md has it."""
    lines = ["| act | what is said of the file |", "|---|---|"]
    lines += [f"| {tampering.name} | {tampering.fate} |" for tampering in TAMPERINGS]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run all, or every n-th, and print the matrix."""
    parser = argparse.ArgumentParser(prog="python -m tests.attacks")
    parser.add_argument("--every", type=int, default=1, help="run every n-th attack alone")
    every = parser.parse_args().every
    attacks, honest = ATTACKS[::every], list(HONEST.items())[::every]
    forgeries, tamperings = FORGERIES[::every], TAMPERINGS[::every]
    assert servers.postgres is not None, "unset DATABASE_URL: a PostgreSQL of its own is attacked"
    console = Console(width=None if sys.stdout.isatty() else 160)
    table = Table("attack", "the store alone", "with an anchor", "with a witness", "as it must be")
    wrong = 0
    call_command("migrate", verbosity=0)  # the store that Django goes back to when the scene ends
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(servers.postgres.url(), Path(folder))
        try:
            scene.build()
            for attack in track(attacks, "attacking", console=Console(stderr=True)):
                outcome = run(attack, scene)
                wrong += not outcome.fits(attack)
                fits = "yes" if outcome.fits(attack) else f"[red]no: {outcome}[/red]"
                table.add_row(attack.name, *detected_by(attack), fits)
            for forgery in track(forgeries, "forging", console=Console(stderr=True)):
                fate = run_forgery(forgery, scene, Path(folder))
                wrong += fate != forgery.fate
                fits = "yes" if fate == forgery.fate else f"[red]no: {fate}[/red]"
                table.add_row(f"with Redis: {forgery.name}", forgery.fate, forgery.fate, forgery.fate, fits)
            for tampering in track(tamperings, "tampering", console=Console(stderr=True)):
                fate = run_tampering(tampering, scene, Path(folder))
                wrong += fate != tampering.fate
                fits = "yes" if fate == tampering.fate else f"[red]no: {fate}[/red]"
                table.add_row(f"a file: {tampering.name}", *[tampering.fate] * 3, fits)
            for name, act in honest:
                with scene.outside(anchor=scene.anchor, witness=True), scene.fresh() as superuser:
                    act(superuser, scene)
                    found = verify.verify().verdict
                wrong += found != "VERIFIED"
                table.add_row(f"honest: {name}", found, "", "", "yes" if found == "VERIFIED" else "[red]no[/red]")
        finally:
            scene.stop()
    console.print(table)
    count = len(attacks) + len(forgeries) + len(tamperings)
    console.print(f"{count} attacks, {len(honest)} honest runs, {wrong} not as they must be")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
