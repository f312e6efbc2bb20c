"""What is kept though it is not valid is received, lies dead in the queue, and is told beside what was rejected."""

import pytest

from audit.ingest import parked_counts
from audit.queue import drain
from tests.audit.accounting.conftest import line, told
from tests.audit.conftest import BATCH, Sender, an_event


@pytest.mark.usefixtures("own_queue")
def test_the_account_balances_and_says_how_many_were_kept_as_invalid() -> None:
    sender = Sender("write")
    sender.post([an_event(), {}, {"version": 7}], BATCH, headers={"Prefer": "handling=lenient"})
    sender.post({})
    drain.drain(seconds=20)
    assert parked_counts.of_process().hand_over()
    assert told(line(sender)) == {"received": 4, "stored_at_once": 1, "dead": 2, "invalid": 2, "rejected": 1}
