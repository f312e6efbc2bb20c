"""Signatures of heads; and which heads become checkpoints, and so stay: one every SEAL_KEEP_S, and each given out.

The sealer signs more often than that. A head that nobody was given is a prefix of the next one, as consistency proofs
show, so it need not stay (docs/decisions/0031-few-checkpoints-stay.md). Between the seals it is in `audit_head`.
"""

from datetime import datetime

from django.conf import settings
from django.db import transaction

from audit.errors import LogDamaged, NotSealed
from audit.formats.note import AnySigner
from audit.ledger import crosslinks
from audit.models import Checkpoint, newest_head
from audit.postgres import sql

# Whoever signs the next head waits for this, or this for them, and then keeps that one.
_LOCK = "SELECT number, note FROM audit_head WHERE NOT kept FOR UPDATE"
_KEEP = """
WITH head AS (UPDATE audit_head SET kept = true WHERE NOT kept RETURNING number, size, root, note, created_at)
INSERT INTO audit_checkpoint (number, size, root, note, created_at) SELECT * FROM head
"""


class Undrafted(Exception):
    """The head has to be signed before the transaction in which it is written."""


class Draft:
    """The signatures of one head, of a key that may be elsewhere: no transaction and no lock waits for that.

    A transaction that only looks asks for them, and ends with `Undrafted`; `sign` gets them; the next transaction finds
    them, where it comes to the same head.
    """

    def __init__(self, signer: AnySigner):
        self._signer = signer
        self._asked: tuple[str, datetime] | None = None
        self._lines: list[str] = []

    @property
    def is_ready(self) -> bool:
        """Whether there are signatures, or they can be made at once."""
        return self._signer.is_at_hand or bool(self._lines)

    @property
    def at(self) -> datetime | None:
        """The time that was signed, once it is."""
        return self._asked[1] if self._asked and self._lines else None

    def lines(self, text: str, at: datetime) -> list[str]:
        """Return signatures over a head of that time. Raises `Undrafted`."""
        if self._signer.is_at_hand:
            return signatures(self._signer, text, at)
        if self._asked != (text, at):
            self._asked, self._lines = (text, at), []
        if not self._lines:
            raise Undrafted
        return self._lines

    def sign(self) -> None:
        """Sign what was asked for. Raises `TokenFailed`."""
        assert self._asked is not None
        self._lines = signatures(self._signer, *self._asked)


def signatures(signer: AnySigner, text: str, at: datetime) -> list[str]:
    """Sign twice with the one key: plainly, and with the time, so that silence is signed too."""
    return [signer.sign(text), signer.cosign(text, int(at.timestamp()))]


def newest_checkpoint(using: str = "reader") -> Checkpoint | None:
    """Return the newest head that stays."""
    return Checkpoint.objects.using(using).first()


def keep() -> Checkpoint | None:
    """Make the newest signed head a checkpoint, where it is none yet, and return the newest one.

    Raises `LogDamaged` where its note cannot be read: what stays was signed.
    """
    with transaction.atomic():
        for number, text in sql.rows(_LOCK):
            crosslinks.text_of(Checkpoint(number=number, note=text))
            sql.run(_KEEP)
    return newest_checkpoint("default")


def keep_whole() -> Checkpoint | None:
    """The same; where the newest head is damaged the newest checkpoint, for who looks into the damage or copies it."""
    try:
        return keep()
    except LogDamaged:
        return newest_checkpoint("default")


def give_out(covering: int | None = None) -> Checkpoint:
    """Return a checkpoint for what leaves the store: one of at least `covering` leaves, or the newest head.

    What is given out stays, so that it can be compared for as long as the log exists. Raises `NotSealed` while nothing
    was ever sealed, `LogDamaged` as `keep`.
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
