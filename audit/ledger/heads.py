"""Which signed heads become checkpoints, and so stay: one every SEAL_KEEP_S, and each that is given out.

The sealer signs more often than that. A head that nobody was given is a prefix of the next one, as consistency proofs
show, so it need not stay (docs/decisions/0031-few-checkpoints-stay.md). Between the seals it is in `audit_head`.
"""

from datetime import datetime

from django.conf import settings

from audit.errors import NotSealed
from audit.models import Checkpoint, newest_head
from audit.postgres import sql

# One statement: whoever signs the next head waits for it, or it for them, and then keeps that one.
_KEEP = """
WITH head AS (UPDATE audit_head SET kept = true WHERE NOT kept RETURNING number, size, root, note, created_at)
INSERT INTO audit_checkpoint (number, size, root, note, created_at) SELECT * FROM head
"""


def newest_checkpoint(using: str = "reader") -> Checkpoint | None:
    """Return the newest head that stays."""
    return Checkpoint.objects.using(using).first()


def keep() -> Checkpoint | None:
    """Make the newest signed head a checkpoint, where it is none yet, and return the newest one."""
    sql.run(_KEEP)
    return newest_checkpoint("default")


def give_out(covering: int | None = None) -> Checkpoint:
    """Return a checkpoint for what leaves the store: one of at least `covering` leaves, or the newest head.

    What is given out stays, so that it can be compared for as long as the log exists. Raises `NotSealed` while nothing
    was ever sealed.
    """
    if covering is not None:
        newest = newest_checkpoint()
        if newest is not None and newest.size >= covering:
            return newest
    head = newest_head("reader")
    stays = None if head is None else Checkpoint.objects.using("reader").filter(number=head.number).first()
    if (checkpoint := stays or keep()) is None:
        raise NotSealed("Nothing is sealed yet: is the sealer running?")
    return checkpoint


def is_due(now: datetime, newest: Checkpoint | None) -> bool:
    """Whether a head of `now` stays though nobody was given it. A clock that was set back keeps no head from it."""
    if newest is None:
        return True
    return not 0 <= (now - newest.created_at).total_seconds() < settings.SEAL_KEEP_S
