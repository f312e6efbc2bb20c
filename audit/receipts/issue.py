"""issue: sign what was taken, so that the writer can hold the store to it. One signature a request.

The web process signs with a key of its own (RECEIPT_KEY, RECEIPT_PUBLIC_KEYS), for the log's is the sealer's alone. Its
name is the log's with `/receipts` after it.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import structlog
from django.conf import settings

from audit import metrics
from audit.errors import KeyMissing
from audit.formats import receipt
from audit.ingest.record import Recorded
from audit.ledger import keys as ledger_keys
from audit.ledger import known_keys
from dlq import policy

log = structlog.get_logger(__name__)


def sign(recorded: Sequence[Recorded]) -> str | None:
    """The signed receipt for events that were recorded together, all of one writer.

    None where there is no key, or it cannot be used: what is stored is answered all the same.
    """
    try:
        signer = ledger_keys.receipts().signer
        if signer is None:
            raise KeyMissing("This process has only public keys of receipts: set RECEIPT_KEY_FILE.")
        known_keys.announce_beside([signer.verifier], known_keys.RECEIPTS, known_keys.RECEIPTS_EVERY_S)
        return receipt.sign(_promise(recorded, signer.name.removesuffix(receipt.SUFFIX)), signer)
    except KeyMissing as error:
        metrics.unsigned.labels(reason="no key").inc()
        log.debug("receipt_without_key", error=str(error))
    except Exception as error:
        metrics.unsigned.labels(reason="failed").inc()
        log.error("receipt_not_signed", error=type(error).__name__)
    return None


def _promise(recorded: Sequence[Recorded], origin: str) -> receipt.Promise:
    """Stored: sealed within the maximum merge delay. Parked: drained first, within the seven days that an event stays
    in the queue at most."""
    parked = any(each.state == "parked" for each in recorded)
    now, wait_s = datetime.now(UTC), policy.LONGEST_WAIT_S if parked else 0.0
    return receipt.Promise(
        origin=origin,
        writer=recorded[0].event.writer,
        state="parked" if parked else "stored",
        promised_at=now,
        sealed_by=now + timedelta(seconds=wait_s + settings.SEAL_MERGE_DELAY_S),
        events={str(each.event.id): each.event.digest.hex() for each in recorded},
    )
