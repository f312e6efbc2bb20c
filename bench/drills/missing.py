"""`make missing`: a million events of 50 writers, some of them dropped; is exactly what never came found missing?

Each writer numbers its events, states its highest number in a heartbeat before it sends, and behaves badly: it drops,
doubles, delays, reorders and replays events, and it crashes with a buffer full of them. All of it is drawn from a seed,
sent through the real store, sealed, and reconciled in between as a schedule would. Exit status 0 only when every event
that never came is named (recall 1.0) and nothing else is (precision 1.0), before the late ones come and after.
"""

import argparse
import multiprocessing
import os
import random
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import uuid_utils.compat
from rich.console import Console
from rich.progress import track
from rich.table import Table

from audit.formats import event
from bench.fleet import Fleet
from bench.ledger.log import connect

WRITERS, EVENTS = 50, 1_000_000
PORTION = 1_000
TICKS = 8
"""How often the log is reconciled while events come."""
BEGAN = datetime(2026, 8, 18, tzinfo=UTC)
console = Console(width=None if sys.stdout.isatty() else 150)

Sent = tuple[str, str, int, str]
"""Writer, epoch, number and id of an event."""


class Plan(NamedTuple):
    """What the writers do."""

    first: list[Sent]
    """What is sent, in this order, with what is sent twice."""
    late: list[Sent]
    """What comes only later."""
    dropped: set[tuple[str, str, int]]
    """What never comes."""
    beats: dict[tuple[str, str], int]
    """The highest number that each heartbeat states."""
    cases: dict[str, int]
    """How many events had which fate."""


def plan(seed: int, *, writers: int, events: int, prefix: str = "sim") -> Plan:
    """Draw what each writer does, from the seed."""
    rng = random.Random(seed)
    made = Plan([], [], set(), {}, {"dropped": 0, "lost in a crash": 0, "late": 0, "sent twice": 0, "replayed": 0})
    for number in range(writers):
        _of_writer(rng, f"{prefix}-{number:02}", events // writers, made)
    # Writers run beside each other: what they send is mixed, and each one's own order is disturbed within a window.
    place = {id(one): at + rng.choice((0, 0, 0, 40, 2_000)) * rng.random() for at, one in enumerate(made.first)}
    lanes = sorted(made.first, key=lambda one: place[id(one)])
    return made._replace(first=_mixed(rng, lanes))


def _of_writer(rng: random.Random, writer: str, events: int, made: Plan) -> None:
    """One writer, through one to four lives: each crash begins a new epoch."""
    lives = rng.choice((1, 1, 1, 2, 4))
    for life in range(lives):
        epoch = f"life-{life}" if lives > 1 else ""
        numbers = [(writer, epoch, seq, str(uuid_utils.compat.uuid7())) for seq in range(1, events // lives + 1)]
        made.beats[writer, epoch] = len(numbers)
        lost = rng.randrange(1, 60) if life < lives - 1 else 0
        made.cases["lost in a crash"] += lost
        made.dropped.update(one[:3] for one in numbers[len(numbers) - lost :])
        for one in numbers[: len(numbers) - lost]:
            _fate(rng, one, made)
        at = rng.randrange(len(numbers) - lost - 200) if len(numbers) > 500 + lost else 0
        again = [one for one in numbers[at : at + 100] if one[:3] not in made.dropped]
        made.cases["replayed"] += len(again)
        made.late.extend(again)


def _fate(rng: random.Random, one: Sent, made: Plan) -> None:
    chance = rng.random()
    if chance < 0.000_5:
        made.dropped.add(one[:3])
        made.cases["dropped"] += 1
    elif chance < 0.002:
        made.late.append(one)
        made.cases["late"] += 1
    else:
        made.first.append(one)
        if chance < 0.004:
            made.first.append(one)
            made.cases["sent twice"] += 1


def _mixed(rng: random.Random, sent: list[Sent]) -> list[Sent]:
    """One stream out of one a writer."""
    lanes: dict[str, list[Sent]] = {}
    for one in sent:
        lanes.setdefault(one[0], []).append(one)
    queues = [iter(lane) for lane in lanes.values()]
    mixed: list[Sent] = []
    while queues:
        lane = rng.choice(queues)
        taken = [one for _, one in zip(range(20), lane, strict=False)]
        mixed.extend(taken)
        if len(taken) < 20:
            queues.remove(lane)
    return mixed


def document(one: Sent) -> dict[str, Any]:
    """The event as its writer sends it."""
    writer, epoch, seq, event_id = one
    return {
        "version": "1.0",
        "event_id": event_id,
        "event_type": "simulation.step.done",
        "event_timestamp": (BEGAN + timedelta(seconds=seq)).isoformat(),
        "event_category": "orchestration",
        "event_action": "done",
        "event_outcome": "success",
        "correlation_id": f"{writer}-{epoch}-{seq // 20}",
        "event_data": {"seq": seq},
        "source_seq": seq,
        **({"source_epoch": epoch} if epoch else {}),
    }


def send(sent: list[Sent]) -> None:
    """Store events as the API does, without HTTP."""
    from audit.ingest.record import store

    known = {one[3]: one for one in sent}  # the API answers what stands twice in a batch like what stands once
    store([event.accept(document(one), writer=one[0]) for one in known.values()], timeout_s=60)


def state_heartbeats(made: Plan) -> None:
    """Each life's highest number, as its heartbeat stated it before it sent."""
    from audit.completeness import heartbeats

    for (writer, epoch), highest in made.beats.items():
        heartbeats.beat({"source_seq": highest} | ({"source_epoch": epoch} if epoch else {}), writer=writer)


def missing(made: Plan) -> set[tuple[str, str, int]]:
    """The numbers of these writers that the store says never came."""
    from audit.models import Hole

    holes = Hole.objects.filter(numbering__writer__in={one for one, _ in made.beats}).select_related("numbering")
    return {
        (hole.numbering.writer, hole.numbering.epoch, seq) for hole in holes for seq in range(hole.first, hole.last + 1)
    }


def precision_and_recall(found: set[Any], true: set[Any]) -> tuple[float, float]:
    """The share of what was found that is true, and of what is true that was found."""
    right = len(found & true)
    return right / len(found) if found else 1.0, right / len(true) if true else 1.0


def follow() -> float:
    """Seal all, read the log to its end; return the seconds that reading took."""
    from audit.completeness.reconcile import reconcile
    from audit.ledger import seal

    sealer = seal.Sealer()
    while sealer.once(from_start=True).more:
        pass
    started = time.perf_counter()
    reconcile()
    return time.perf_counter() - started


def portions(sent: list[Sent]) -> Iterator[list[Sent]]:
    """What is sent, by the thousand."""
    return (sent[at : at + PORTION] for at in range(0, len(sent), PORTION))


def run(made: Plan, fleet: Fleet) -> bool:
    """Send, reconcile, compare; then the late ones, and once more."""
    from audit.models import Numbering

    context = multiprocessing.get_context("spawn")
    ticks: list[float] = []
    with context.Pool(2, initializer=connect, initargs=(fleet.env,)) as pool:
        state_heartbeats(made)
        step = -(-len(made.first) // TICKS)
        for at in track(range(0, len(made.first), step), "events", console=Console(stderr=True)):
            for _ in pool.imap_unordered(send, portions(made.first[at : at + step])):
                pass
            ticks.append(follow())
        before = precision_and_recall(missing(made), made.dropped | _numbers(made.late) - _numbers(made.first))
        for _ in pool.imap_unordered(send, portions(made.late)):
            pass
        ticks.append(follow())
    after = precision_and_recall(missing(made), made.dropped)
    reused = sum(Numbering.objects.filter(writer__in={one for one, _ in made.beats}).values_list("reused", flat=True))
    _print(made, before, after, reused, ticks)
    return before == after == (1.0, 1.0) and not reused


def _numbers(sent: list[Sent]) -> set[tuple[str, str, int]]:
    return {one[:3] for one in sent}


def _print(
    made: Plan, before: tuple[float, float], after: tuple[float, float], reused: int, ticks: list[float]
) -> None:
    table = Table("what", "figure")
    rows: list[tuple[str, object]] = [
        ("writers, lives", f"{len({one for one, _ in made.beats})}, {len(made.beats)}"),
        ("events that were made", f"{sum(made.beats.values()):,}"),
        *((case, f"{count:,}") for case, count in made.cases.items()),
        ("never came", f"{len(made.dropped):,}"),
        ("before the late ones: precision, recall", f"{before[0]:.6f}, {before[1]:.6f}"),
        ("after them: precision, recall", f"{after[0]:.6f}, {after[1]:.6f}"),
        ("numbers that two events had", reused),
        ("reconciling, all runs together", f"{sum(ticks):.1f} s"),
    ]
    for what, figure in rows:
        table.add_row(what, str(figure))
    console.print(table)


def main() -> None:
    """Simulate, print, and exit 0 only when all was found and nothing else."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--writers", type=int, default=WRITERS)
    parser.add_argument("--events", type=int, default=EVENTS)
    options = parser.parse_args()
    fleet = Fleet(drainers=0, GAP_GRACE_S="-1")
    try:
        fleet.start_servers()
        os.environ |= fleet.env
        connect(fleet.env)
        held = run(plan(options.seed, writers=options.writers, events=options.events), fleet)
    finally:
        fleet.stop()
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
