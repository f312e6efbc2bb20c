"""What the log says of itself costs the same however much waits for the sealer."""

import pytest
from django.db import transaction

from audit.ledger import reader
from audit.postgres import sql
from tests.audit.conftest import one
from tests.audit.ledger.conftest import QUEUED, READ


@pytest.mark.usefixtures("elsewhere")
def test_few_that_wait_are_counted_and_of_many_as_many_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "COUNTED", 500)
    one(QUEUED, 500)
    waiting = reader.waiting()
    assert waiting.number == 500 and min(waiting.oldest_s, waiting.newest_s) >= 3_600
    one(QUEUED, 2_500)
    one("SELECT pg_stat_clear_snapshot()::text")
    with transaction.atomic("reader"):
        before = sql.rows(READ, using="reader")[0][0]
        waiting = reader.waiting()
        assert 500 < waiting.number <= 3_000 and waiting.oldest_s >= 3_600
        assert sql.rows(READ, using="reader")[0][0] - before == 501
