"""What belongs to a leaf is looked up in its own month, however many months there are."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from audit.accounting import balance
from audit.api import ledger
from audit.completeness import manifests, reconcile
from audit.ledger.verify import leaves
from audit.models import Leaf
from audit.postgres import sql
from audit.reports.sections import fields
from tests.attacks.scene import Scene

MONTHS = 120


def opened(statement: str, parameters: Any) -> set[str]:
    """The months of records that a statement looked into."""
    [(explained,)] = sql.rows(f"EXPLAIN (ANALYZE, FORMAT json) {statement}", parameters)

    def looked_into(node: dict[str, Any]) -> set[str]:
        own = node.get("Relation Name", "")
        inner = [looked_into(part) for part in node.get("Plans", ())]
        is_month = own.startswith("audit_record_") and node["Actual Loops"]
        return set().union(*inner, {own} if is_month else set())

    return looked_into(explained[0]["Plan"])


@pytest.mark.slow
def test_with_120_months_a_batch_looks_into_those_of_its_records(elsewhere: Scene) -> None:
    first = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    for _ in range(MONTHS):
        first = (first - timedelta(days=1)).replace(day=1)
        sql.rows("SELECT audit_make_partition(%s)", [first])
    ids = list(Leaf.objects.order_by("index").values_list("record_id", flat=True)[:50])
    missing = {"ids": ids, "writer": "nobody", "runs": 20}
    of_records = opened("SELECT count(*) FROM audit_record WHERE id = ANY(%s::uuid[])", [ids])
    assert 1 <= len(of_records) <= 2
    for statement, parameters in (
        (reconcile._ROWS, [0, 50]),
        (leaves.LEAVES, [0, 50]),
        (ledger.ENTRIES, [0, 50]),
        (balance._RECEIVED, [ids]),
        (fields._ROWS.format(within=""), [list(range(50))]),
        (manifests._MISSING_IDS, missing),
    ):
        assert 1 <= len(opened(statement, parameters)) <= 2, statement
