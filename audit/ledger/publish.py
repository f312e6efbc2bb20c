"""The sealer process: seals at a fixed rhythm, while a thread publishes each checkpoint to witnesses and the anchor."""

import threading
import time
from datetime import timedelta

import structlog
from django.conf import settings
from django.db import DatabaseError, connections

from audit.errors import AuditError, ClocksDisagree, KeyMissing, LogDamaged, NotReplicated
from audit.formats import note
from audit.formats.note import NoteError
from audit.ingest.notify import notify_anyway
from audit.ledger import anchor, heads, outside, reader, witnesses
from audit.ledger import keys as ledger_keys
from audit.ledger.seal import Sealer
from audit.models import Checkpoint

log = structlog.get_logger(__name__)

LEAST_PAUSE_S = 0.05
PUBLISH_PAUSE_S = 1.0
TROUBLE_PAUSE_S = 5.0
REFUSAL_ALARM_EVERY = timedelta(hours=1)


class Publisher:
    """Publishes heads to each witness and to the anchor. What fails is tried again with the next head."""

    def __init__(self) -> None:
        self._anchored_at = float("-inf")
        # Notes of checkpoints: what no record follows is neither asked about nor anchored again. Not their numbers:
        # after a restore another checkpoint has the number of one that is gone.
        self._anchored, self._asked = "", ""

    def publish(self, head: Checkpoint) -> list[str]:
        """Have a head cosigned and anchored; return what went wrong, in words."""
        complaints = self._ask_witnesses(head) if head.note != self._asked else []
        is_due = time.monotonic() - self._anchored_at >= settings.SEAL_ANCHOR_S
        if anchor.has_anchor() and is_due and head.note != self._anchored:
            complaints += self._anchor(head)
        return complaints

    def _anchor(self, head: Checkpoint) -> list[str]:
        """Append a head to the anchor, never behind a later one: the sealer asks the end of the anchor how far the log
        was signed, and the newest head of a database that was restored would hide it."""
        try:
            keys = ledger_keys.load()
            known = outside.of_anchor(keys)
            if known.unasked:
                return [
                    f"The anchor cannot be read ({known.unasked[0].partition(': ')[2]}): nothing is appended to it."
                ]
            if conflicts := outside.conflicts(known, reader.head("default"), keys, "default"):
                self._anchored_at = time.monotonic()  # once in SEAL_ANCHOR_S is often enough to say so
                outside.refused.set()  # the sealer of this process asks before it signs again
                return [f"The head of {head.size} records is not anchored. {conflict}" for conflict in conflicts]
            origin = note.origin_of(head.note)
            if not any(each.head.size > head.size for each in known.heads if each.head.origin == origin):
                anchor.anchor(head, reader.full_note(head, "default"))
            self._anchored_at, self._anchored = time.monotonic(), head.note
        except OSError as error:
            return [f"The anchor could not be written: {error.strerror or type(error).__name__}."]
        return []

    def _ask_witnesses(self, head: Checkpoint) -> list[str]:
        complaints = []
        for witness in witnesses.witnesses():
            try:
                witnesses.cosign(witness, head)
            except witnesses.WitnessRefused as error:
                complaints.append(str(error))
                if isinstance(error, witnesses.WitnessAhead):
                    outside.refused.set()
            except (OSError, NoteError) as error:
                complaints.append(f"The witness {witness.verifier.name} did not answer: {type(error).__name__}.")
        if not complaints:
            self._asked = head.note
        return complaints


def follow(stop: threading.Event) -> None:
    """Seal until `stop`; no outage and no refusal ends it."""
    publisher = threading.Thread(target=_carry, args=(stop,), name="publisher", daemon=True)
    publisher.start()
    try:
        _seal(stop)
    finally:
        publisher.join(timeout=witnesses.TIMEOUT_S)
        connections.close_all()


def _seal(stop: threading.Event) -> None:
    sealer = Sealer()
    while not stop.is_set():
        # A fixed rhythm: a pass that took long on a busy machine is not followed by a whole pause.
        following = time.monotonic() + settings.SEAL_INTERVAL_MS / 1000
        try:
            if sealer.once(keep_each=False).more:
                continue
        except (KeyMissing, LogDamaged, ClocksDisagree) as error:
            _tell_of(error)
            following += TROUBLE_PAUSE_S
        except (DatabaseError, NotReplicated) as error:
            log.warning("seal_interrupted", error=type(error).__name__)
            connections.close_all()
        stop.wait(max(following - time.monotonic(), LEAST_PAUSE_S))


def _tell_of(error: AuditError) -> None:
    """Raise the alarm about a refusal to seal, once an hour, however often the sealer is started anew."""
    log.error("seal_refused", reason=str(error))
    notify_anyway("audit.seal", f"The sealer refuses to sign: {error}", not_again_for=REFUSAL_ALARM_EVERY)


def _carry(stop: threading.Event) -> None:
    """Publish the newest checkpoint, whoever made the head one, in a thread of its own: witnesses may take long, and no
    seal waits for them."""
    publisher = Publisher()
    while not stop.wait(PUBLISH_PAUSE_S):
        try:
            newest = heads.newest_checkpoint("default")
            for complaint in publisher.publish(newest) if newest is not None else ():
                log.warning("courier", complaint=complaint)
        except Exception as error:  # whatever a witness answers, the next head is published all the same
            log.warning("courier_interrupted", error=type(error).__name__)
            connections.close_all()
    connections.close_all()
