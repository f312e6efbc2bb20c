"""What the log says of itself costs the same however much waits for the sealer."""

import pytest
from django.db import transaction

from audit.ledger import reader
from audit.postgres import sql
from tests.audit.conftest import one

QUEUED = """
WITH queued AS (
    INSERT INTO audit_unsealed (record_id, leaf_hash, stored_at)
    SELECT gen_random_uuid(), sha256(n::text::bytea), now() - interval '1 hour' FROM generate_series(1, %s) n
    RETURNING 1
) SELECT count(*) FROM queued
"""
READ = "SELECT pg_stat_get_xact_tuples_returned('audit_unsealed'::regclass)"


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
