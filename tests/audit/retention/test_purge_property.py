"""Over generated stores, what a purge removes is what a plain model says: nothing early, nothing held, nothing else."""

import random
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import pytest

from audit.ledger import verify
from audit.models import RetentionRequest
from audit.retention import legal_holds, purge
from audit.retention.legal_holds import Named
from tests.attacks.scene import Scene
from tests.audit.conftest import one
from tests.audit.retention.conftest import (
    ANN,
    BEN,
    DAY,
    NO_ARCHIVE,
    RULES,
    aged,
    backdated,
    month_of,
    remaining,
    seal,
    with_values,
)

CATEGORIES = ("one", "two", "three")
ACTORS = ("ann", "ben")
CORRELATIONS = ("rr-1", "rr-2", "rr-3")
DEFAULT = 2_557


class Stored(NamedTuple):
    id: UUID
    stored_at: datetime
    category: str
    actor: str
    correlation: str
    own: int | None
    happened_at: datetime


class Floor(NamedTuple):
    category: str
    days: int
    since: datetime


def kept_until(record: Stored, floors: list[Floor]) -> datetime:
    """The plain model: look at each moment at which a floor begins to apply, and at that of storage."""
    moments = [record.stored_at, *(floor.since for floor in floors if floor.since > record.stored_at)]
    days = [applies(record.category, moment, floors) for moment in moments]
    return record.stored_at + timedelta(days=max(*days, record.own or 0))


def applies(category: str, moment: datetime, floors: list[Floor]) -> int:
    for name in (category, ""):
        if begun := [floor for floor in floors if floor.category == name and floor.since <= moment]:
            return max(begun, key=lambda floor: floor.since).days
    return DEFAULT


def is_held(record: Stored, holds: list[Named]) -> bool:
    return any(
        hold.category in ("", record.category)
        and hold.actor in ("", record.actor)
        and hold.correlation_id in ("", record.correlation)
        and (hold.since is None or hold.since <= record.happened_at)
        and (hold.before is None or record.happened_at < hold.before)
        for hold in holds
    )


def generated(draw: random.Random, now: datetime) -> tuple[list[Floor], list[Stored], list[Named], list[Named]]:
    """Floors, records, holds from before the plan, and holds that come between approval and removal."""
    floors = [
        Floor(draw.choice(("", *CATEGORIES)), draw.choice((5, 30, 60, 100, 400)), now - draw.uniform(1, 900) * DAY)
        for _ in range(draw.randint(0, 6))
    ]
    backdated(floors)
    for age in draw.sample((50, 110, 200, 420, 800), draw.randint(0, 4)):
        one("SELECT audit_make_partition(%s)", month_of(now - age * DAY))
    stored = []
    for _ in range(draw.randint(1, 25)):
        at = now - draw.choice((draw.uniform(0.1, 900), 50, 110, 200)) * DAY
        facts = (at, draw.choice(CATEGORIES), draw.choice(ACTORS), draw.choice(CORRELATIONS))
        own, happened_at = draw.choice((None, None, 3, 50, 700)), at - draw.uniform(0, 3) * DAY
        has = {"event_category": facts[1], "actor_id": facts[2], "correlation_id": facts[3]}
        has |= {"retention_days": own} if own else {}
        erasing = draw.choice((None, RULES))
        record = aged(at, erasing=erasing, event_timestamp=happened_at.isoformat(), actor_ip="192.0.2.7", **has)
        stored.append(Stored(record, *facts, own, happened_at))
    holds = [a_hold(draw, now) for _ in range(draw.randint(0, 2))]
    return floors, stored, holds, [a_hold(draw, now) for _ in range(draw.randint(0, 1))]


def a_hold(draw: random.Random, now: datetime) -> Named:
    return Named(
        category=draw.choice(("", *CATEGORIES)),
        actor=draw.choice(("", *ACTORS)),
        since=draw.choice((None, now - draw.uniform(10, 900) * DAY)),
        correlation_id=draw.choice(CORRELATIONS) if draw.random() < 0.7 else "",
        before=draw.choice((None, now)),
    )


def purged_as_modelled(seed: int) -> int:
    """Make a store, purge it, and compare; return how many records went."""
    draw, now = random.Random(seed), datetime.now(UTC)
    floors, stored, holds, later = generated(draw, now)
    holds = [place(hold, number) for number, hold in enumerate(holds)]
    seal()
    cut = now - draw.choice((0, 0, 1, 20)) * DAY
    erasable = with_values(record.id for record in stored)
    try:
        plan = purge.ask(cut, reason="it is over", by=ANN, without_archive=NO_ARCHIVE)
    except purge.NothingDue:
        plan = None
    first = [record for record in stored if kept_until(record, floors) <= cut and not is_held(record, holds)]
    assert (plan is None) == (not first), f"seed {seed}"
    if plan is None:
        return 0
    assert sum(row["due"] for row in plan.counts or ()) == len(first), f"seed {seed}"
    purge.decide(plan, approve=True, by=BEN)
    seal()
    later = [place(hold, 10 + number) for number, hold in enumerate(later)]
    approved, portion = RetentionRequest.objects.select_related("decision").get(pk=plan.pk), draw.choice((1, 3, 5_000))
    while purge.run(approved, by=BEN, portion=portion, seconds=draw.choice((0, None))).ended_at is None:
        pass
    expected = {record.id for record in first if not is_held(record, later)}
    assert {record.id for record in stored} - remaining() == expected, f"seed {seed}"
    assert with_values(erasable) == erasable - expected, f"seed {seed}"
    seal()
    run = verify.verify()
    assert run.verdict == "VERIFIED", f"seed {seed}: {[finding.detail for finding in run.findings.all()]}"
    assert run.counts.get("purged", 0) == len(expected), f"seed {seed}"
    return len(expected)


def place(hold: Named, number: int) -> Named:
    wanted = hold if hold != Named() else hold._replace(actor=ACTORS[0])
    if wanted.correlation_id and wanted == Named(correlation_id=wanted.correlation_id):
        wanted = wanted._replace(before=datetime(2100, 1, 1, tzinfo=UTC))
    legal_holds.place(wanted, reason="case 7", by=ANN, matter=f"matter {number}")
    return wanted


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_a_purge_removes_what_the_plain_model_says(elsewhere: Scene, seed: int) -> None:
    purged_as_modelled(seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(500))
def test_over_500_generated_stores_a_purge_removes_what_the_plain_model_says(elsewhere: Scene, seed: int) -> None:
    purged_as_modelled(seed)


def test_the_model_keeps_a_record_by_the_longest_floor_since_it_was_stored() -> None:
    at = datetime(2020, 1, 1, tzinfo=UTC)
    record = Stored(UUID(int=0), at, "one", "ann", "rr-1", 70, at)
    floors = [Floor("one", 30, at - DAY), Floor("one", 60, at + DAY), Floor("", 9_000, at + DAY)]
    assert kept_until(record, floors) == at + timedelta(days=70)
    assert kept_until(record._replace(own=None), floors) == at + timedelta(days=60)
    assert kept_until(record._replace(category="two"), floors) == at + timedelta(days=9_000)
