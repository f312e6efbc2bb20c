"""`make bench`: what each part of ingest reaches, beside its ceiling, its peers and another commit, in one run.

python -m bench.ingest [--share 1] [--against COMMIT] [--peers no] [--out FOLDER] [PART ...]     all where none is named

Everything that is compared is measured in turns, so that what else the machine does meets all of it. Writes
ingest.json, ingest.svg and rates.svg to FOLDER. Exit status 1 where a part failed, or a whole bench misses a goal.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from bench.fleet import ROOT, Fleet
from bench.ingest import against, batch, chart, company, machine, recovery, single, unavailable
from bench.ingest.result import Result, Row
from bench.ingest.scene import Part, Scene, Site, Size
from bench.peers.site import LEFT_OUT, Peers

OUT = ROOT / ".local" / "bench"
PARTS: dict[str, Callable[[Scene], Part]] = {
    "single": single.measure,
    "company": company.measure,
    "unavailable": unavailable.measure,
    "batch": batch.measure,
    "recovery": recovery.measure,
}
console = Console(width=None if sys.stdout.isatty() else 160)


@contextmanager
def scene(size: Size, other: str, *, with_peers: bool) -> Iterator[Scene]:
    """Start everything that is measured; what could not be had is named, and left out."""
    with ExitStack() as stack:
        # How long it takes until a record is signed is read off the heads, so each of them stays.
        fleet = Fleet(drainers=0, application="bench.wsgi:application", SEAL_KEEP_S="0")
        stack.callback(fleet.stop)
        fleet.start()
        made = Scene(size, Site(fleet, fleet.new_writer()), other_name=other or "another commit")
        if other:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="auditsite-")))
            folder.chmod(0o755)  # PostgreSQL runs as another user where we are root
            made.other = against.start(other, folder)
            stack.callback(made.other.fleet.stop)
        else:
            made.not_measured["other"] = "say AGAINST=commit"
        if with_peers:
            _add_peers(made, stack)
        else:
            made.not_measured["peers"] = "PEERS=no"
        for site in (made.ours, made.other):
            if site is not None:
                site.warm_up(max(1.0, size.seconds / 2))
        yield made


def _add_peers(made: Scene, stack: ExitStack) -> None:
    try:
        made.peers = Peers(made.ours.fleet)
    except RuntimeError as error:
        made.not_measured["peers"] = str(error).splitlines()[0]
        console.print(f"[red]The peers are left out:[/red] {error}")
        return
    stack.callback(made.peers.stop)
    made.peers.start()


def run(made: Scene, parts: list[str], share: float) -> Result:
    """Measure the parts, one after the other; what fails or is interrupted is named, and what was found before kept."""
    size = made.size
    about = machine.about(made.ours.fleet)
    about["measured"] = (
        f"{datetime.now(UTC):%Y-%m-%d %H:%MZ}, rounds: {size.rounds}, {size.seconds:g} s each, share {share:g}; "
        f"events of about 1.25 KB; {made.ours.fleet.workers} processes of {made.ours.fleet.threads} threads"
    )
    result = Result(about)
    for name, measure in PARTS.items():
        if not parts or name in parts:
            console.print(f"measuring {name} ({datetime.now(UTC):%H:%M:%SZ})", highlight=False)
            try:
                part = measure(made)
            except KeyboardInterrupt:
                result.failed.append(name)
                break
            except Exception as error:
                console.print_exception()
                part = Part([Row(name, "", None, [], f"{type(error).__name__}: {error}")], [])
                result.failed.append(name)
            result.rows += part.rows
            result.rates += part.rates
    if made.refused:
        about["answers that kept nothing"] = ", ".join(f"{n} x {status}" for status, n in made.refused.items())
    return result


def write(result: Result, folder: Path) -> None:
    """The result as JSON, and the two charts made from it."""
    result.write(folder / "ingest.json")
    title = f"Ingest beside its goals: {result.about['measured'].partition(';')[0]}"
    (folder / "ingest.svg").write_text(chart.goals(result.rows, title=title), encoding="utf-8")
    each = [rate for rate in result.rates if rate.unit == "/s"]
    drawn = chart.rates(each, title="Single events: requests a second", unit="requests/s")
    (folder / "rates.svg").write_text(drawn, encoding="utf-8")
    console.print(f"written to {folder}: ingest.json, ingest.svg, rates.svg", highlight=False, soft_wrap=True)


def main() -> int:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(prog="python -m bench.ingest", description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="of a whole bench")
    parser.add_argument("--against", default="", metavar="COMMIT", help="a commit whose site is measured beside this")
    parser.add_argument("--peers", choices=("yes", "no"), default="yes", help="install and measure them as well")
    parser.add_argument("--out", type=Path, default=OUT, metavar="FOLDER", help="for the result and its charts")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all of them where none is named")
    options = parser.parse_args()
    if unknown := set(options.parts) - PARTS.keys():
        parser.error(f"there is no part {', '.join(sorted(unknown))}: choose from {', '.join(PARTS)}")
    if options.against and not machine.commit(options.against):
        parser.error(f"git knows no commit {options.against!r} here: name one of `git log`")
    with scene(Size.of(options.share), options.against, with_peers=options.peers == "yes") as made:
        result = run(made, options.parts, options.share)
    result.print(console)
    for name in result.failed:
        console.print(f"[red]{name} was not measured to its end[/red]")
    console.print(LEFT_OUT)
    write(result, options.out)
    return 1 if result.failed or (options.share >= 1 and not result.is_met) else 0


if __name__ == "__main__":
    sys.exit(main())
