"""Lines of records: nothing is handed over past a record that is gone."""

from typing import Any

import psycopg
import pytest
from django.db import connections

from audit.errors import LogDamaged
from audit.evidence import record_lines
from tests.attacks.scene import Scene


@pytest.mark.slow
def test_no_lines_are_handed_over_past_a_record_that_is_gone(elsewhere: Scene, postgres: Any) -> None:
    """What follows them may be read anew by itself, where the server gave up: it would be whole, and the rest not."""
    with psycopg.connect(postgres.url("postgres", f"{elsewhere.name}_now"), autocommit=True) as superuser:
        superuser.execute("ALTER TABLE audit_record DISABLE TRIGGER USER")
        superuser.execute("DELETE FROM audit_record WHERE id = (SELECT record_id FROM audit_leaf WHERE index = 15)")
    leaves = range(2 * record_lines.RECORDS_PER_VALUE)
    with pytest.raises(LogDamaged, match="Of the 200 records of the leaves 0 to 199 only 199 are here"):
        next(record_lines._lines(leaves, connections["reader"]))
