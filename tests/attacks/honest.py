"""What honest people do to a log: none of it raises an alarm."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from django.conf import settings

from audit.formats import event
from audit.formats.note import Signer
from audit.ingest.record import store
from audit.ledger.seal import Sealer
from tests.attacks.catalogue import Superuser, head_that_is_no_checkpoint, own_key, queued_again
from tests.attacks.scene import Scene, seal, send
from tests.audit.conftest import an_event


def honest_nothing(db: Superuser, scene: Scene) -> None:
    send(10)
    seal()


def honest_late(db: Superuser, scene: Scene) -> None:
    """A drain after an outage: old ids, old times, long after newer ones are sealed."""
    long_ago = datetime.now(UTC) - timedelta(days=40)
    late = [event.accept(an_event(event_id=f"0190{n:04x}-0000-7000-8000-{n:012x}"), writer="tests") for n in range(20)]
    store(late, timeout_s=20, parked_at=[long_ago] * 20)
    seal()


def honest_equal_times(db: Superuser, scene: Scene) -> None:
    send(50, event_timestamp="2026-08-18T10:00:00Z")
    seal()


def honest_replay(db: Superuser, scene: Scene) -> None:
    events = send(5)
    seal()
    store(events, timeout_s=20)
    seal()


def honest_idle(db: Superuser, scene: Scene) -> None:
    for _ in range(3):
        Sealer().once(sign_anyway=True)


def honest_rotation(db: Superuser, scene: Scene) -> None:
    """A new key signs from now on; the old one is known still. The settings stay so until the run is over."""
    old, new = own_key(), Signer(own_key().name, bytes(range(64, 96)))
    settings.SEAL_KEY, settings.SEAL_PUBLIC_KEYS = new.encode(), f"{new}\n{old}"
    send(10)
    seal()


def honest_tail(db: Superuser, scene: Scene) -> None:
    send(5)


HONEST: dict[str, Callable[[Superuser, Scene], None]] = {
    "new records": honest_nothing,
    "a drain of events that are 40 days old": honest_late,
    "equal times": honest_equal_times,
    "replays of what is stored": honest_replay,
    "an idle log that is signed again and again": honest_idle,
    "records that wait for the sealer": honest_tail,
    "a head that is no checkpoint yet": head_that_is_no_checkpoint(),
    "a rotated key": honest_rotation,
    "a record that was put into the queue again": queued_again,
}
