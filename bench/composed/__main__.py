"""docker-compose.yml brought up for real, and what is done to it under load; all promises are checked at the end.

    python -m bench.composed killed [--share 1] [--seed 1]     `make compose-test`: kill, scale and restart containers
    python -m bench.composed restored [--share 1]              `make compose-restore`: from copies of a backup
    python -m bench.composed upgraded [--share 1] [--from COMMIT]   `make compose-upgrade`: from an older commit

Exit status 0 only when nothing was lost, duplicated or altered and everything else held, too; 3 where no container
engine answers.
"""

import argparse
import signal
import sys
import time

from bench.composed.drill import Drill, console
from bench.composed.engine import NoEngine, build, compose_command
from bench.composed.installation import Installation
from bench.composed.killed import Killed
from bench.composed.restored import Restored
from bench.composed.upgraded import FROM, Upgraded, older

NO_ENGINE = 3


def main() -> int:
    """Build, bring up, drill, take down."""
    parser = argparse.ArgumentParser(prog="python -m bench.composed")
    parser.add_argument("drill", choices=("killed", "restored", "upgraded"))
    parser.add_argument("--share", type=float, default=1.0, help="of the events of a whole drill")
    parser.add_argument("--seed", type=int, default=1, help="of the order in which containers start again")
    parser.add_argument("--from", dest="commit", default=FROM, help="which commit is upgraded from")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # cut off, it still takes everything down
    started = time.monotonic()
    try:
        compose_command()
    except NoEngine as error:
        print(error)
        return NO_ENGINE
    images, drill = build(), None
    installation = Installation(images)
    try:
        drill = _drill(options, installation, images)
        console.print(f"images built ({time.monotonic() - started:.0f} s)")
        passed = drill.run()
    finally:
        installation.down()
    console.print(f"{drill.held if passed else 'FAILED'} ({time.monotonic() - started:.0f} s)")
    return 0 if passed else 1


def _drill(options: argparse.Namespace, installation: Installation, images: dict[str, str]) -> Drill:
    if options.drill == "killed":
        return Killed(installation, options.share, options.seed)
    if options.drill == "restored":
        return Restored(installation, options.share)
    before = older(options.commit, installation.folder)
    return Upgraded(installation, options.share, before, images)


if __name__ == "__main__":
    sys.exit(main())
